//! The stack's template made by MiniStack, without the types that it refuses: [`support::stack::REFUSED`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use serde_json::Value;
use shepard_model::stack::output;

#[test]
fn an_emulator_makes_all_that_it_knows() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/template_support/create.py");
    let mut child = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut input = child.stdin.take().expect("its input");
    // One line; its end tells the script to end its emulator as well.
    writeln!(input, "{}", support::stack::reduced()).expect("it reads");
    let mut answer = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut answer).expect("a line");
    drop(input);
    assert!(child.wait().expect("an end").success());
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    for (case, stack) in answer.as_object().expect("stacks") {
        assert_eq!(stack["status"], "CREATE_COMPLETE", "{case}: {stack}");
        for name in output::ALL {
            assert!(stack["outputs"][name].as_str().is_some_and(|value| !value.is_empty()), "{case}: {name}");
        }
        assert!(stack["resources"].as_u64() > Some(40), "{case}: {stack}");
    }
}
