//! The stack's template as an emulator takes it.

use std::path::Path;
use std::process::Command;

/// Types that MiniStack 1.5.33 refuses a template for. They are taken out, and what refers to them gets a text.
pub const REFUSED: [&str; 7] = [
    "AWS::Batch::ComputeEnvironment",
    "AWS::Batch::JobDefinition",
    "AWS::Batch::JobQueue",
    "AWS::EC2::EIP",
    "AWS::EC2::NatGateway",
    "AWS::FSx::DataRepositoryAssociation",
    "AWS::FSx::FileSystem",
];

/// The template without them, as JSON.
pub fn reduced() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = Command::new("python3")
        .arg(root.join("tests/template_support/without.py"))
        .arg(root.join("templates/shepard.yml"))
        .args(REFUSED)
        .output()
        .expect("python3");
    assert!(
        made.status.success(),
        "{}\ncfn-lint is missing? pip install cfn-lint==1.58.0",
        String::from_utf8_lossy(&made.stderr)
    );
    String::from_utf8(made.stdout).expect("JSON")
}
