//! What a stack holds, counted: objects with all their versions, images, jobs, messages, rows.

use serde::{Deserialize, Serialize};
use shepard_cloud::holdings::{LIVE, Messages};
use shepard_cloud::stacks::{Resource, Stack};

use super::policies::{is_data, is_stateful, policies};
use super::{Progress, Site, Watch};
use crate::operations::error::Result;

/// What a resource holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "holds", rename_all = "snake_case")]
pub enum Contents {
    /// A bucket.
    Objects {
        /// Objects that its keys show.
        objects: u64,
        /// Older versions.
        old_versions: u64,
        /// Markers of deleted ones.
        delete_markers: u64,
        /// Uploads that were not ended.
        unfinished_uploads: u64,
        /// Bytes, of all versions.
        bytes: u64,
    },
    /// A repository.
    Images {
        /// How many.
        images: u64,
    },
    /// A queue.
    Messages(Messages),
    /// A table.
    Rows {
        /// How many, as the service counted them in the last six hours.
        rows: u64,
    },
    /// A job queue.
    Jobs {
        /// Jobs that wait.
        waiting: u64,
        /// Jobs that run.
        running: u64,
    },
    /// Something that is not counted: a secret, a file system, a log.
    Something,
}

impl Contents {
    /// There is nothing in it. Of what is not counted nobody can say so.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Objects { objects, old_versions, delete_markers, unfinished_uploads, .. } => {
                objects + old_versions + delete_markers + unfinished_uploads == 0
            }
            Self::Images { images } => *images == 0,
            Self::Messages(messages) => messages.total() == 0,
            Self::Rows { rows } => *rows == 0,
            Self::Jobs { waiting, running } => waiting + running == 0,
            Self::Something => false,
        }
    }

    /// In words: `12 objects, 3 old versions, 1.5 GiB`.
    pub fn words(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut count = |n: u64, one: &str, many: &str| {
            if n > 0 {
                parts.push(format!("{n} {}", if n == 1 { one } else { many }));
            }
        };
        match self {
            Self::Objects { objects, old_versions, delete_markers, unfinished_uploads, bytes } => {
                count(*objects, "object", "objects");
                count(*old_versions, "old version", "old versions");
                count(*delete_markers, "delete marker", "delete markers");
                count(*unfinished_uploads, "unfinished upload", "unfinished uploads");
                if *bytes > 0 {
                    parts.push(size(*bytes));
                }
            }
            Self::Images { images } => count(*images, "image", "images"),
            Self::Messages(messages) => {
                count(messages.waiting, "message waits", "messages wait");
                count(messages.in_flight, "message in flight", "messages in flight");
                count(messages.delayed, "message delayed", "messages delayed");
            }
            Self::Rows { rows } => count(*rows, "row or so", "rows or so"),
            Self::Jobs { waiting, running } => {
                count(*running, "job runs", "jobs run");
                count(*waiting, "job waits", "jobs wait");
            }
            Self::Something => return "not counted".to_owned(),
        }
        if parts.is_empty() { "empty".to_owned() } else { parts.join(", ") }
    }
}

fn size(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut step = 0;
    let mut whole = bytes;
    while whole >= 1024 && step + 1 < units.len() {
        (whole, step) = (whole / 1024, step + 1);
    }
    let unit = units.get(step).copied().unwrap_or_default();
    if step == 0 {
        return format!("{bytes} {unit}");
    }
    let tenths = u128::from(bytes) * 10 / (1_u128 << (10 * step));
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// A resource that holds something, or that has to be stopped before the stack can go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    /// Name in the template.
    pub logical: String,
    /// `AWS::S3::Bucket`.
    pub kind: String,
    /// Its name, URL or ARN.
    pub name: String,
    /// The template keeps it when the stack is removed.
    pub kept: bool,
    /// It holds what people keep in it.
    pub data: bool,
    /// What it holds; None where that could not be found out.
    pub contents: Option<Contents>,
    /// Why that could not be found out.
    pub not_counted: Option<String>,
}

/// What a stack holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// The stack.
    pub stack: Stack,
    /// What holds something.
    pub things: Vec<Thing>,
    /// Resources that hold nothing, by number.
    pub others: usize,
}

/// Counts what a stack holds; by its ARN also of one that is removed.
///
/// # Errors
/// `NotFound`; CloudFormation does not answer. What one service does not tell is in [`Thing::not_counted`].
pub async fn owned(site: &Site, name: &str, watch: Watch<'_>) -> Result<Owned> {
    let stack = site.stack(name).await?;
    let resources = site.ports.stacks.resources(&stack.id).await?;
    let kept = policies(&site.ports.stacks.template(&stack.id).await.unwrap_or_default());
    let (mut things, mut others) = (Vec::new(), 0);
    for resource in resources {
        if resource.physical.is_empty() || resource.status == "DELETE_COMPLETE" {
            continue;
        }
        if !is_stateful(&resource.kind) && resource.kind != "AWS::Batch::JobQueue" {
            others += 1;
            continue;
        }
        let (contents, not_counted) = match count(site, &resource, watch).await {
            Ok(contents) => (Some(contents), None),
            Err(error) => (None, Some(error.to_string())),
        };
        things.push(Thing {
            kept: kept.get(&resource.logical).is_some_and(|policy| policy.kept_on_delete),
            data: is_data(&resource.kind),
            logical: resource.logical,
            kind: resource.kind,
            name: resource.physical,
            contents,
            not_counted,
        });
    }
    things.sort_by(|a, b| (!a.data, &a.kind, &a.name).cmp(&(!b.data, &b.kind, &b.name)));
    Ok(Owned { stack, things, others })
}

async fn count(site: &Site, resource: &Resource, watch: Watch<'_>) -> Result<Contents> {
    let (holdings, name) = (site.ports.holdings.as_ref(), resource.physical.as_str());
    Ok(match resource.kind.as_str() {
        "AWS::S3::Bucket" => bucket(site, name, watch).await?,
        "AWS::ECR::Repository" => {
            let (mut images, mut from) = (0, None);
            loop {
                let page = holdings.images(name, from.as_deref()).await?;
                images += page.items.len() as u64;
                watch(Progress::Counts { what: format!("images of {name}"), so_far: images });
                from = page.next;
                if from.is_none() {
                    break Contents::Images { images };
                }
            }
        }
        "AWS::SQS::Queue" => Contents::Messages(holdings.messages(name).await?),
        "AWS::DynamoDB::Table" => Contents::Rows { rows: holdings.rows(name).await? },
        "AWS::Batch::JobQueue" => {
            let (mut waiting, mut running) = (0, 0);
            for status in LIVE {
                let mut from = None;
                loop {
                    let page = holdings.jobs(name, status, from.as_deref()).await?;
                    let jobs: u64 = page.items.iter().map(|job| job.jobs).sum();
                    // An array is PENDING for as long as any of its jobs is not done.
                    *(if matches!(status, "STARTING" | "RUNNING") { &mut running } else { &mut waiting }) +=
                        jobs;
                    watch(Progress::Counts { what: format!("jobs of {name}"), so_far: waiting + running });
                    from = page.next;
                    if from.is_none() {
                        break;
                    }
                }
            }
            Contents::Jobs { waiting, running }
        }
        _ => Contents::Something,
    })
}

async fn bucket(site: &Site, name: &str, watch: Watch<'_>) -> Result<Contents> {
    let holdings = site.ports.holdings.as_ref();
    let (mut objects, mut old_versions, mut delete_markers, mut bytes) = (0, 0, 0, 0);
    let mut from = None;
    loop {
        let page = holdings.versions(name, from.as_deref()).await?;
        for version in &page.items {
            match (version.marker, version.latest) {
                (true, _) => delete_markers += 1,
                (false, true) => objects += 1,
                (false, false) => old_versions += 1,
            }
            bytes += version.size;
        }
        let so_far = objects + old_versions + delete_markers;
        watch(Progress::Counts { what: format!("objects of {name}"), so_far });
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let (mut unfinished_uploads, mut from) = (0, None);
    loop {
        let page = holdings.unfinished(name, from.as_deref()).await?;
        unfinished_uploads += page.items.len() as u64;
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    Ok(Contents::Objects { objects, old_versions, delete_markers, unfinished_uploads, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_in_words() {
        let bucket = Contents::Objects {
            objects: 1,
            old_versions: 2,
            delete_markers: 0,
            unfinished_uploads: 0,
            bytes: 1_610_612_736,
        };
        assert_eq!(bucket.words(), "1 object, 2 old versions, 1.5 GiB");
        assert_eq!(Contents::Rows { rows: 0 }.words(), "empty");
        assert!(Contents::Jobs { waiting: 0, running: 0 }.is_empty() && !Contents::Something.is_empty());
        assert_eq!(
            (size(0), size(1023), size(1024)),
            ("0 bytes".into(), "1023 bytes".into(), "1.0 KiB".into())
        );
    }
}
