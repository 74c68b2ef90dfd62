//! Instructions, chunks, their writer, disassembly and verification.

pub mod chunk;
pub mod disasm;
pub mod formula;
pub mod live;
pub mod moves;
pub mod op;
pub mod verify;
pub mod writer;
