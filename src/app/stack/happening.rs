//! What happens to a stack, what a change set would do to it, and what it is made of.

use serde::{Deserialize, Serialize};

/// How a stack stands and how it came there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Happening {
    /// Status of the stack in CloudFormation's words; empty while there is none.
    pub status: String,
    /// When what happens, or happened last, began.
    pub began_ms: Option<i64>,
    /// When it ended; None while it goes on.
    pub ended_ms: Option<i64>,
    /// Resources that are done with.
    pub done: u64,
    /// Resources in all, while a stack is made at most; 0 while that is not known.
    pub total: u64,
    /// The first that failed by itself, where something did.
    pub cause: Option<StackCause>,
    /// The resources, those touched first first.
    pub resources: Vec<ResourceRow>,
}

impl Happening {
    /// It is at an end, a good one or a bad one.
    pub fn is_over(&self) -> bool {
        let goes_on = self.status.ends_with("_IN_PROGRESS") && self.status != "REVIEW_IN_PROGRESS";
        !self.status.is_empty() && !goes_on
    }

    /// Something did not become what was asked for.
    pub fn has_failed(&self) -> bool {
        self.cause.is_some() || self.status.contains("ROLLBACK") || self.status.ends_with("_FAILED")
    }
}

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackCause {
    /// Name of the resource in the template.
    pub logical: String,
    /// `AWS::S3::Bucket`.
    pub kind: String,
    /// CloudFormation's words.
    pub reason: String,
    /// When.
    pub at_ms: i64,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResourceRow {
    /// Name in the template.
    pub logical: String,
    /// `AWS::S3::Bucket`.
    pub kind: String,
    /// Id in its service; empty until there is one.
    pub physical: String,
    /// `CREATE_COMPLETE`.
    pub status: String,
    /// Why it is that.
    pub reason: Option<String>,
    /// When it was begun; None where nothing says.
    pub began_ms: Option<i64>,
    /// When it ended; None while it goes on.
    pub ended_ms: Option<i64>,
}

/// Whether a resource stays the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replaced {
    /// It stays.
    No,
    /// CloudFormation cannot say yet.
    Maybe,
    /// A new one comes in its place.
    Yes,
}

/// One change of a change set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRow {
    /// `Add`, `Modify`, `Remove`.
    pub action: String,
    /// Name in the template.
    pub logical: String,
    /// `AWS::S3::Bucket`.
    pub kind: String,
    /// Id in its service; empty for a new one.
    pub physical: String,
    /// Whether it is replaced.
    pub replaced: Replaced,
    /// It holds what people put there: objects, rows, images, files, secrets.
    pub stateful: bool,
    /// The properties that change, and what makes them.
    pub causes: Vec<String>,
}

impl ChangeRow {
    /// What people put there may be lost by it.
    pub fn loses(&self) -> bool {
        self.stateful && (self.action == "Remove" || self.replaced != Replaced::No)
    }
}

/// A change set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Its id; empty where nothing would change.
    pub change_set: String,
    /// What would change.
    pub changes: Vec<ChangeRow>,
}

/// What a stack is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sheet {
    /// Its ARN.
    pub arn: String,
    /// Its status in CloudFormation's words.
    pub status: String,
    /// Why it is that.
    pub reason: Option<String>,
    /// Made.
    pub created_ms: i64,
    /// Last changed.
    pub updated_ms: Option<i64>,
    /// Its resources.
    pub resources: Vec<ResourceRow>,
    /// Its outputs by name.
    pub outputs: Vec<(String, String)>,
    /// Its parameters by name; what the template hides is `****`.
    pub parameters: Vec<(String, String)>,
}
