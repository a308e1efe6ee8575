//! The dead-letter queue: uploads that were tried too often and given up on. How many there are, which, and moving them
//! back so that they are tried again.

use serde::Serialize;
use shepard_cloud::aws::{self, AwsSettings};
use shepard_cloud::ports::{Depth, Redrive};

use super::error::{OperationError, Result};
use super::flock::Flock;

/// Dead letters that are looked at for their keys.
const LOOKED_AT: usize = 10;
/// For so long one that is looked at is hidden from others who look, in milliseconds.
const HIDDEN_MS: i64 = 2_000;

/// What is in the queue and given up on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dead {
    /// Messages waiting to become jobs.
    pub waiting: u64,
    /// Messages that somebody works on.
    pub in_flight: u64,
    /// Messages given up on.
    pub dead: u64,
    /// Some of the uploads that were given up on: bucket and key, or the beginning of a message that names none.
    pub uploads: Vec<String>,
}

/// Counts, and looks at some of the dead letters of a flock on AWS. Nothing is taken out.
///
/// # Errors
/// The flock's queue is not known, or cannot be asked.
pub async fn list(flock: &Flock) -> Result<Dead> {
    flock.may_ask_queue()?;
    let Depth { waiting, in_flight, dead } = flock.ports().queue.depth().await?;
    let mut uploads = Vec::new();
    // Only a flock on AWS has a queue of its own for them, which can be read.
    if let (true, Some(on_aws)) = (dead > 0, flock.aws())
        && let Some(url) = &on_aws.info.dead_letters
    {
        let settings =
            AwsSettings { queue: Some(url.clone()), dead_letters: None, ..AwsSettings::of(&on_aws.info) };
        let letters = aws::connect(settings).await.ports().queue;
        for message in letters.receive(LOOKED_AT, HIDDEN_MS).await? {
            uploads.push(upload(&message.body));
            letters.release(&message.receipt, 0).await?;
        }
    }
    Ok(Dead { waiting, in_flight, dead, uploads })
}

/// Moves all dead letters back, a step at a time; `progress` is told after each.
///
/// # Errors
/// The queue is not known or cannot be asked; what was moved by then stays moved.
pub async fn redrive(flock: &Flock, progress: &mut (dyn FnMut(&Redrive) + Send)) -> Result<u64> {
    flock.may_ask_queue()?;
    let ports = flock.ports();
    let mut so_far = Redrive::default();
    loop {
        so_far = ports.queue.redrive_step(so_far).await?;
        progress(&so_far);
        if so_far.done {
            break;
        }
        ports.clock.sleep_ms(500).await;
    }
    flock.wake().await?;
    Ok(so_far.moved)
}

/// What a notification of S3 is about.
fn upload(body: &str) -> String {
    let said: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let record = &said["Records"][0]["s3"];
    match (record["bucket"]["name"].as_str(), record["object"]["key"].as_str()) {
        (Some(bucket), Some(key)) => format!("{bucket}/{key}"),
        _ => format!("{} …", body.chars().take(60).collect::<String>()),
    }
}

/// Nothing was given up on.
///
/// # Errors
/// There is nothing to move.
pub fn must_have(dead: &Dead, flock: &str) -> Result<()> {
    if dead.dead == 0 {
        return Err(OperationError::NotFound(format!("the dead-letter queue of {flock} is empty")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_is_named_by_its_upload() {
        let body = r#"{"Records":[{"s3":{"bucket":{"name":"in"},"object":{"key":"a/b.zip"}}}]}"#;
        assert_eq!(upload(body), "in/a/b.zip");
        assert_eq!(upload("what"), "what …");
    }
}
