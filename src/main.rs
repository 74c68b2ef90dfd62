//! The `dlang` command; everything is in `cli/`.

use dlang::tensor::buffers::Keeping;

#[global_allocator]
static ALLOCATOR: Keeping<mimalloc::MiMalloc> = Keeping(mimalloc::MiMalloc);

fn main() -> std::process::ExitCode {
    dlang::cli::main()
}
