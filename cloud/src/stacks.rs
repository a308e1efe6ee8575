//! The port to the stacks of an account: what CloudFormation has, and how one is made, changed and removed.
//!
//! As [`crate::ports`]: every method may be dropped and repeated, none waits for an end that takes longer than one
//! answer. Whoever wants to see a stack finished reads its events until its status is an end.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::ports::Page;

/// A stack as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stack {
    /// Name.
    pub name: String,
    /// ARN; a removed stack is found by it alone.
    pub id: String,
    /// Status in CloudFormation's words: `UPDATE_ROLLBACK_COMPLETE`.
    pub status: String,
    /// Why it is that.
    pub reason: Option<String>,
    /// Made, in milliseconds since the epoch.
    pub created_ms: i64,
    /// Last changed.
    pub updated_ms: Option<i64>,
    /// Parameters as they are set; what the template hides is `****`.
    pub parameters: BTreeMap<String, String>,
    /// Outputs.
    pub outputs: BTreeMap<String, String>,
    /// It is protected against removal.
    pub protected: bool,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// One resource of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Name in the template.
    pub logical: String,
    /// Id in its service; empty until there is one.
    pub physical: String,
    /// `AWS::S3::Bucket`.
    pub kind: String,
    /// `CREATE_COMPLETE`.
    pub status: String,
    /// Why it is that.
    pub reason: Option<String>,
    /// Last changed, in milliseconds since the epoch.
    pub updated_ms: i64,
}

/// Something that happened to a stack or a resource of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackEvent {
    /// Unique.
    pub id: String,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Name in the template; the stack's own for the stack itself.
    pub logical: String,
    /// Id in its service; empty until there is one.
    pub physical: String,
    /// `AWS::S3::Bucket`.
    pub kind: String,
    /// `CREATE_IN_PROGRESS`.
    pub status: String,
    /// Why.
    pub reason: Option<String>,
}

/// Where CloudFormation reads a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateSource {
    /// In the request; at most 51,200 bytes.
    Body(String),
    /// An object of S3, by its URL.
    Url(String),
    /// The one that the stack has.
    Previous,
}

/// A stack to be made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackRequest {
    /// Name.
    pub name: String,
    /// Template.
    pub template: TemplateSource,
    /// Parameters by name; None keeps what the stack has.
    pub parameters: BTreeMap<String, Option<String>>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// The same for the same intention, so that a repeated request makes nothing twice: letters, digits and `-`, at
    /// most 120 of them.
    pub token: String,
    /// A new stack is protected against removal. A change leaves that as it is.
    pub protected: bool,
}

/// Whether a resource stays the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replacement {
    /// It stays.
    No,
    /// CloudFormation cannot say yet.
    Maybe,
    /// A new one comes in its place, and what was in the old one is not carried over.
    Yes,
}

/// One change of a change set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `Add`, `Modify`, `Remove`, `Import`, `Dynamic`.
    pub action: String,
    /// Name in the template.
    pub logical: String,
    /// Id in its service; empty for a new one.
    pub physical: String,
    /// `AWS::S3::Bucket`.
    pub kind: String,
    /// Whether it is replaced.
    pub replacement: Replacement,
    /// The properties that change, and what makes them: `Memory (parameter DesiredRam)`.
    pub causes: Vec<String>,
}

/// A change set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSet {
    /// ARN.
    pub id: String,
    /// `CREATE_PENDING`, `CREATE_IN_PROGRESS`, `CREATE_COMPLETE`, `FAILED`, …
    pub status: String,
    /// Why; for one without changes CloudFormation says so here.
    pub reason: Option<String>,
    /// It may be executed.
    pub executable: bool,
    /// The changes, once it is complete.
    pub changes: Vec<Change>,
}

impl ChangeSet {
    /// It failed because there is nothing to change, which is no fault.
    pub fn is_empty(&self) -> bool {
        let said = self.reason.as_deref().unwrap_or_default();
        let nothing = ["didn't contain changes", "No updates are to be performed"];
        self.status == "FAILED" && nothing.iter().any(|words| said.contains(words))
    }

    /// CloudFormation is not done with looking what would change.
    pub fn is_pending(&self) -> bool {
        matches!(self.status.as_str(), "CREATE_PENDING" | "CREATE_IN_PROGRESS")
    }
}

/// The stacks of one account and region.
#[async_trait]
pub trait Stacks: Send + Sync {
    /// Every stack that is not removed, with its parameters and outputs, a page at a time.
    async fn list(&self, from: Option<&str>) -> Result<Page<Stack>>;
    /// One stack, by name or ARN; None where there is none. A removed one is found by its ARN.
    async fn describe(&self, name: &str) -> Result<Option<Stack>>;
    /// ARN of the stack of this name that was removed last, for as long as CloudFormation remembers it: 90 days.
    async fn removed(&self, name: &str) -> Result<Option<String>>;
    /// Its resources. `NotFound` where there is no such stack.
    async fn resources(&self, name: &str) -> Result<Vec<Resource>>;
    /// Its events, newest first, a page at a time. `NotFound` where there is no such stack.
    async fn events(&self, name: &str, from: Option<&str>) -> Result<Page<StackEvent>>;
    /// Its template as it was sent. `NotFound` where there is no such stack.
    async fn template(&self, name: &str) -> Result<String>;
    /// Begins to make it; gives its ARN. `Conflict` where the name is taken.
    async fn create(&self, request: &StackRequest) -> Result<String>;
    /// Begins a change set for a stack that is there; gives its ARN. `Conflict` while the stack is being changed.
    async fn propose(&self, request: &StackRequest) -> Result<String>;
    /// How a change set stands.
    async fn proposal(&self, id: &str) -> Result<ChangeSet>;
    /// Begins to carry a change set out.
    async fn accept(&self, id: &str, token: &str) -> Result<()>;
    /// Throws a change set away; no error where there is none.
    async fn reject(&self, id: &str) -> Result<()>;
    /// Begins to remove a stack, all but these resources; no error where there is none.
    async fn delete(&self, name: &str, keep: &[String], token: &str) -> Result<()>;
    /// Protects a stack against removal, or no longer.
    async fn protect(&self, name: &str, on: bool) -> Result<()>;
    /// Stops an update that is under way, which is then rolled back.
    async fn cancel_update(&self, name: &str) -> Result<()>;
    /// Goes on with a rollback that stopped.
    async fn continue_rollback(&self, name: &str) -> Result<()>;
}
