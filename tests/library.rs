//! The library against values recorded from elsewhere: each file of `tests/library` is run by `dlang test`.
//! `record_*.py` beside them make the recordings.

use std::process::Command;

fn check(file: &str) {
    let out = Command::new(env!("CARGO_BIN_EXE_dlang"))
        .args(["test", &format!("tests/library/{file}.dl")])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("dlang runs");
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{said}");
    assert!(said.contains("passed"), "{file} has no tests: {said}");
}

macro_rules! files {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        #[test]
        fn no_file_is_left_out() {
            let listed = [$(stringify!($name)),*];
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/library");
            for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
                let path = entry.path();
                if path.extension().is_some_and(|e| e == "dl") {
                    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                    assert!(listed.contains(&&*name), "{name}.dl is not run");
                }
            }
        }
    };
}

files! { augment data gpt loss mcmc metrics nn nn_attention nn_layers nn_more nn_sequences ode off_policy onnx optim plot prob prob_numpyro rl sde soft text vi }
