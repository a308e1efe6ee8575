//! The stack's template, `templates/shepard.yml`: its text, its parameters as data, what a flock's values are, and what
//! can be said of them before anything is sent.
//!
//! | module | is |
//! |---|---|
//! | [`values`] | the values of a new flock, from one word; those of a flock that is there |
//! | [`check`] | what is wrong or odd with values, by what is known of the account |
//! | [`cost`] | what a flock costs in a month in which it does nothing |
//! | [`code`] | the Lambda program that the stack needs, and the text with its place filled in |
//!
//! Nothing here asks AWS anything, and nothing but [`code`] reads a file.

pub mod check;
pub mod code;
pub mod cost;
pub mod values;

mod cidr;
mod names;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use saphyr::{LoadableYamlNode as _, Yaml};

/// The template's text, as it is in the repository.
pub const TEXT: &str = include_str!("../../templates/shepard.yml");

/// Values of parameters, by name.
pub type Values = BTreeMap<String, String>;

/// The template as data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    /// Its parameters in their groups, in the order in which people see them.
    pub groups: Vec<Group>,
    /// What it makes, in the order of the file.
    pub resources: Vec<Resource>,
    /// Names of its outputs, in the order of the file.
    pub outputs: Vec<String>,
}

/// Parameters that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What people see above them.
    pub label: String,
    /// The parameters.
    pub parameters: Vec<Parameter>,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Name.
    pub name: String,
    /// What a value is.
    pub kind: Kind,
    /// Its type in CloudFormation's words: `String`, `CommaDelimitedList`, `AWS::EC2::KeyPair::KeyName`.
    pub aws_type: String,
    /// The value where none is given. Every parameter has one; of some it is no value that works.
    pub default: String,
    /// The values that it may have; empty where any text will do.
    pub allowed: Vec<String>,
    /// A regular expression that a value has to match as a whole.
    pub pattern: Option<String>,
    /// What it is for, in a sentence or two.
    pub help: String,
}

/// What a parameter's value is, for whoever asks a person for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `True` or `False`.
    Toggle,
    /// One of [`Parameter::allowed`].
    Choice,
    /// A whole number.
    Number,
    /// Words with commas between them.
    List,
    /// The name of a key pair of the region.
    KeyPair,
    /// Any other text.
    Text,
}

/// Something that the template makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Name in the template.
    pub logical: String,
    /// `AWS::S3::Bucket`.
    pub kind: String,
    /// It is left alone when the stack is removed, unless the stack's creation failed.
    pub kept: bool,
    /// Name of the condition under which it is made.
    pub condition: Option<String>,
}

impl Template {
    /// A parameter by its name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters().find(|parameter| parameter.name == name)
    }

    /// All parameters, in the order of the groups.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.groups.iter().flat_map(|group| &group.parameters)
    }

    /// Every parameter's default.
    pub fn defaults(&self) -> Values {
        self.parameters().map(|parameter| (parameter.name.clone(), parameter.default.clone())).collect()
    }

    /// Logical names of what is left when the stack is removed: it may hold what cannot be made again. Whoever wants
    /// it gone removes it by itself, after the stack.
    pub fn kept(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(|resource| resource.kept)
    }
}

/// The template, read once. A test reads it too, so that what is shipped can be read.
pub fn template() -> &'static Template {
    static PARSED: LazyLock<Template> = LazyLock::new(|| parse(TEXT).unwrap_or_default());
    &PARSED
}

/// Number of parameters of the original template.
const ORIGINAL: usize = 50;

/// Whether parameters are those of a stack that the original template made: all of its names, and none of ours.
pub fn is_original(parameters: &Values) -> bool {
    template()
        .parameters()
        .enumerate()
        .all(|(at, parameter)| parameters.contains_key(&parameter.name) == (at < ORIGINAL))
}

/// Reads a template's text. None where it is no template with its parameters in groups.
pub fn parse(text: &str) -> Option<Template> {
    let documents = Yaml::load_from_str(text).ok()?;
    let root = documents.first()?;
    let parameters = root.as_mapping_get("Parameters")?;
    let groups = root
        .as_mapping_get("Metadata")?
        .as_mapping_get("AWS::CloudFormation::Interface")?
        .as_mapping_get("ParameterGroups")?
        .as_sequence()?;
    let groups = groups.iter().map(|group| {
        let names = group.as_mapping_get("Parameters")?.as_sequence()?;
        let one = |name: &Yaml<'_>| {
            let name = name.as_str()?;
            parameter(name, parameters.as_mapping_get(name)?)
        };
        Some(Group {
            label: text_of(group.as_mapping_get("Label")?, "default")?,
            parameters: names.iter().map(one).collect::<Option<_>>()?,
        })
    });
    let resources = root.as_mapping_get("Resources")?.as_mapping()?.iter().map(|(name, resource)| {
        Some(Resource {
            logical: name.as_str()?.to_owned(),
            kind: text_of(resource, "Type")?,
            kept: text_of(resource, "DeletionPolicy").is_some_and(|policy| policy.starts_with("Retain")),
            condition: text_of(resource, "Condition"),
        })
    });
    let outputs = root.as_mapping_get("Outputs")?.as_mapping()?;
    Some(Template {
        groups: groups.collect::<Option<_>>()?,
        resources: resources.collect::<Option<_>>()?,
        outputs: outputs.keys().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>()?,
    })
}

fn parameter(name: &str, found: &Yaml<'_>) -> Option<Parameter> {
    let allowed = found.as_mapping_get("AllowedValues").and_then(Yaml::as_sequence);
    let allowed: Vec<String> =
        allowed.into_iter().flatten().filter_map(Yaml::as_str).map(str::to_owned).collect();
    let aws_type = text_of(found, "Type")?;
    let default = text_of(found, "Default")?;
    let kind = match aws_type.as_str() {
        "CommaDelimitedList" => Kind::List,
        "AWS::EC2::KeyPair::KeyName" => Kind::KeyPair,
        _ if allowed == ["True", "False"] => Kind::Toggle,
        _ if !allowed.is_empty() => Kind::Choice,
        // What counts or measures something has a number for a default, and no name has.
        _ if default.parse::<u64>().is_ok() => Kind::Number,
        _ => Kind::Text,
    };
    Some(Parameter {
        name: name.to_owned(),
        kind,
        aws_type,
        default,
        allowed,
        pattern: text_of(found, "AllowedPattern"),
        help: text_of(found, "Description")?,
    })
}

fn text_of(node: &Yaml<'_>, name: &str) -> Option<String> {
    node.as_mapping_get(name)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_that_is_shipped_can_be_read() {
        let template = parse(TEXT).expect("a template");
        assert_eq!(*super::template(), template);
        assert!(template.parameters().count() > ORIGINAL);
        let kind = |name: &str| template.parameter(name).expect(name).kind;
        assert_eq!(kind("ToggleEFS"), Kind::Toggle);
        assert_eq!(kind("ComputeEnvironmentType"), Kind::Choice);
        assert_eq!(kind("DesiredRam"), Kind::Number);
        assert_eq!(kind("InstanceTypes"), Kind::List);
        assert_eq!(kind("Ec2KeyPair"), Kind::KeyPair);
        assert_eq!(kind("InputsBucket"), Kind::Text);
        assert!(template.kept().any(|resource| resource.logical == "ShepardDynamoDB"));
        assert!(!template.kept().any(|resource| resource.logical == "VPC"));
    }

    #[test]
    fn defaults_are_among_what_is_allowed_and_match_their_pattern() {
        for parameter in template().parameters() {
            let name = &parameter.name;
            assert!(parameter.allowed.is_empty() || parameter.allowed.contains(&parameter.default), "{name}");
            if let Some(pattern) = &parameter.pattern {
                let pattern = regex::Regex::new(pattern).expect("a pattern");
                assert!(pattern.is_match(&parameter.default), "{name}");
            }
            assert!(parameter.help.ends_with('.') && !parameter.help.contains('\n'), "{name}");
        }
    }

    #[test]
    fn a_stack_of_the_original_is_known_by_what_it_lacks() {
        let mut parameters = template().defaults();
        assert!(!is_original(&parameters), "one of ours");
        for parameter in template().parameters().skip(ORIGINAL) {
            parameters.remove(&parameter.name);
        }
        assert!(is_original(&parameters));
        parameters.remove("VpcCIDR");
        assert!(!is_original(&parameters), "somebody else's");
    }

    #[test]
    fn what_is_no_template_is_none() {
        for text in ["", "a: [", "a: 1", "Parameters: {}"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
