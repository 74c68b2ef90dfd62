//! The derivative part of a value: which node of which level it is.

/// Level (5 bits) and node index (27 bits). Slot 0 marks a constant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Slot(pub u32);

/// Nesting depth of a derivative; level 0 is plain computation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Default)]
pub struct Level(pub u8);

/// A node of one level's tape. Index 0 is the sink that stands for constants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Default)]
pub struct Node(pub u32);

impl Slot {
    /// No derivative.
    pub const CONST: Slot = Slot(0);
    pub const INDEX_BITS: u32 = 27;
    /// Nodes one tape can hold.
    pub const MAX_NODES: usize = 1 << Slot::INDEX_BITS;
    /// Derivatives that can be nested.
    pub const MAX_LEVEL: usize = 31;

    /// The slot of a node; `level` is 1 or more.
    #[inline]
    pub fn new(level: Level, node: Node) -> Slot {
        Slot((level.0 as u32) << Slot::INDEX_BITS | node.0)
    }

    /// The slot of what is batched at a level.
    #[inline]
    pub fn batch(level: Level) -> Slot {
        Slot::new(level, Node(1))
    }

    #[inline]
    pub fn is_const(self) -> bool {
        self.0 == 0
    }

    /// 0 for a constant.
    #[inline]
    pub fn level(self) -> Level {
        Level((self.0 >> Slot::INDEX_BITS) as u8)
    }

    #[inline]
    pub fn node(self) -> Node {
        Node(self.0 & ((1 << Slot::INDEX_BITS) - 1))
    }
}
