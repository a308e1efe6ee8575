//! A stack with everything that it consists of.

use serde::{Deserialize, Serialize};
use shepard_cloud::stacks::{Resource, Stack};

use super::Site;
use crate::operations::error::Result;

/// A stack and its resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The stack with its parameters and outputs.
    #[serde(flatten)]
    pub stack: Stack,
    /// Its resources, in the order of their names.
    pub resources: Vec<Resource>,
    /// Why the resources could not be listed; the old command asked for the stack alone, and its users may have no more.
    pub resources_not_listed: Option<String>,
}

/// Describes a stack, by name or ARN.
///
/// # Errors
/// `NotFound`; AWS does not answer.
pub async fn describe(site: &Site, name: &str) -> Result<Description> {
    let stack = site.stack(name).await?;
    let (mut resources, resources_not_listed) = match site.ports.stacks.resources(&stack.id).await {
        Ok(resources) => (resources, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    resources.sort_by(|a, b| a.logical.cmp(&b.logical));
    Ok(Description { stack, resources, resources_not_listed })
}

/// Every stack of the account and region that is not removed, by name.
///
/// # Errors
/// AWS does not answer.
pub async fn list(site: &Site) -> Result<Vec<Stack>> {
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let page = site.ports.stacks.list(from.as_deref()).await?;
        found.extend(page.items);
        from = page.next;
        if from.is_none() {
            found.sort_by(|a, b| a.name.cmp(&b.name));
            return Ok(found);
        }
    }
}
