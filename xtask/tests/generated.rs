//! What is derived from the code is as the code says, checked by the program that writes it.

use std::process::Command;

#[test]
fn every_generated_file_is_as_the_code_says() {
    let checked =
        Command::new(env!("CARGO_BIN_EXE_xtask")).args(["generate", "--check"]).output().expect("runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
