//! What a template keeps when its stack goes, or when it replaces something: `DeletionPolicy` and `UpdateReplacePolicy`.
//!
//! Read off the text of the stack's own template, whoever wrote it. What cannot be read counts as not kept, so that
//! whoever would lose it is asked.

use std::collections::{BTreeMap, BTreeSet};

/// What becomes of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// It stays when the stack is removed.
    pub kept_on_delete: bool,
    /// The old one stays when another takes its place.
    pub kept_on_replace: bool,
}

/// The policies of a template's resources, by their names in it. Those without any are left out.
pub fn policies(template: &str) -> BTreeMap<String, Policy> {
    match serde_json::from_str::<serde_json::Value>(template) {
        Ok(json) => of_json(&json),
        Err(_) => of_yaml(template),
    }
}

fn keeps(policy: &str) -> bool {
    matches!(policy.trim().trim_matches(['"', '\'']), "Retain" | "RetainExceptOnCreate" | "Snapshot")
}

fn of_json(template: &serde_json::Value) -> BTreeMap<String, Policy> {
    let resources = template["Resources"].as_object().into_iter().flatten();
    let policy = |resource: &serde_json::Value| Policy {
        kept_on_delete: resource["DeletionPolicy"].as_str().is_some_and(keeps),
        kept_on_replace: resource["UpdateReplacePolicy"].as_str().is_some_and(keeps),
    };
    resources.map(|(name, resource)| (name.clone(), policy(resource))).collect()
}

/// By indentation alone: names one level below `Resources:`, their attributes one level below the names. Texts in
/// properties are deeper.
fn of_yaml(template: &str) -> BTreeMap<String, Policy> {
    let mut found: BTreeMap<String, Policy> = BTreeMap::new();
    let (mut inside, mut names_at, mut attributes_at) = (false, None, None);
    let mut name = String::new();
    for line in template.lines() {
        let text = line.trim_start();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let indent = line.len() - text.len();
        if indent == 0 {
            inside = text.split('#').next().unwrap_or_default().trim_end() == "Resources:";
            continue;
        }
        if !inside {
            continue;
        }
        if indent == *names_at.get_or_insert(indent) {
            text.split(':').next().unwrap_or_default().trim_matches(['"', '\'']).clone_into(&mut name);
            attributes_at = None;
            continue;
        }
        if indent != *attributes_at.get_or_insert(indent) {
            continue;
        }
        let Some((attribute, value)) = text.split_once(':') else { continue };
        let value = value.split(" #").next().unwrap_or_default();
        match attribute {
            "DeletionPolicy" => found.entry(name.clone()).or_default().kept_on_delete = keeps(value),
            "UpdateReplacePolicy" => found.entry(name.clone()).or_default().kept_on_replace = keeps(value),
            _ => {}
        }
    }
    found
}

/// The names in a part of a template, such as `Parameters`.
pub fn names_in(template: &str, part: &str) -> BTreeSet<String> {
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(template) {
        return json[part].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    }
    let (mut inside, mut names_at, mut found) = (false, None, BTreeSet::new());
    for line in template.lines() {
        let text = line.trim_start();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let indent = line.len() - text.len();
        if indent == 0 {
            inside = text.split_once(':').is_some_and(|(name, _)| name == part);
        } else if inside && indent == *names_at.get_or_insert(indent) {
            found.insert(text.split(':').next().unwrap_or_default().trim_matches(['"', '\'']).to_owned());
        }
    }
    found
}

/// Kinds of resources that hold what cannot be made again.
const STATEFUL: [&str; 9] = [
    "AWS::S3::Bucket",
    "AWS::DynamoDB::Table",
    "AWS::DynamoDB::GlobalTable",
    "AWS::SecretsManager::Secret",
    "AWS::ECR::Repository",
    "AWS::EFS::FileSystem",
    "AWS::FSx::FileSystem",
    "AWS::Logs::LogGroup",
    "AWS::SQS::Queue",
];

/// Whether a resource of this kind holds what cannot be made again.
pub fn is_stateful(kind: &str) -> bool {
    STATEFUL.contains(&kind)
}

/// Whether a resource of this kind holds what people keep in it: not a log, a queue or an image that can be had again.
pub fn is_data(kind: &str) -> bool {
    is_stateful(kind) && !matches!(kind, "AWS::Logs::LogGroup" | "AWS::SQS::Queue" | "AWS::ECR::Repository")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_template_that_is_carried() {
        let template = crate::template::template();
        let declared = names_in(crate::template::TEXT, "Parameters");
        let parsed: BTreeSet<String> = template.parameters().map(|one| one.name.clone()).collect();
        assert_eq!(declared, parsed);
        let found = policies(crate::template::TEXT);
        for resource in &template.resources {
            let kept = found.get(&resource.logical).is_some_and(|policy| policy.kept_on_delete);
            assert_eq!(kept, resource.kept, "{}", resource.logical);
        }
    }

    #[test]
    fn policies_of_both_forms() {
        let yaml = "Parameters:\n  DeletionPolicy:\n    Type: String\nResources:\n  A:\n    # why\n    Type: X\n    \
                    DeletionPolicy: RetainExceptOnCreate # kept\n    UpdateReplacePolicy: 'Retain'\n    Properties:\n      \
                    Text: |\n        DeletionPolicy: Retain\n  B:\n    Type: X\n    DeletionPolicy: Delete\nOutputs:\n  \
                    C:\n    DeletionPolicy: Retain\n";
        let found = policies(yaml);
        assert_eq!(found.get("A"), Some(&Policy { kept_on_delete: true, kept_on_replace: true }));
        assert_eq!(found.get("B"), Some(&Policy::default()));
        assert_eq!(found.len(), 2);
        let json = r#"{"Resources":{"A":{"Type":"X","DeletionPolicy":"Retain"},"B":{"Type":"X"}}}"#;
        assert!(policies(json)["A"].kept_on_delete && !policies(json)["B"].kept_on_delete);
        assert_eq!(policies("no template"), BTreeMap::new());
    }
}
