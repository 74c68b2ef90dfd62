//! Generates the parser from `grammar/dlang.lalrpop`.

fn main() {
    println!("cargo:rerun-if-changed=grammar");
    let result = lalrpop::Configuration::new()
        .set_in_dir("grammar")
        .set_out_dir(std::env::var("OUT_DIR").unwrap_or_default())
        .emit_rerun_directives(true)
        .process();
    if let Err(error) = result {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
