//! Which inputs the queue has been told of.
//!
//! A bucket that is a folder sends no notifications; whoever watches it looks at what is there and announces it
//! here. That an input is known and that its message is in the queue is one fact: both or neither.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, params};

use super::database::Database;
use super::queue::enqueue;
use crate::error::Result;
use crate::ports::{Clock, ObjectMeta};

/// Inputs announced in one transaction. More would keep the workers' heartbeats waiting.
const BATCH: usize = 500;

/// The inputs a local flock has seen.
#[derive(Clone)]
pub struct Inbox {
    database: Database,
    clock: Arc<dyn Clock>,
}

impl Inbox {
    pub(super) fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }

    /// Sends a message for each of these objects that was not announced before, in that version; gives how many.
    /// `make_body` is asked for the new ones alone. Cancelled or failed half-way, it may be said again.
    ///
    /// # Errors
    /// As any change of the database.
    pub async fn announce(
        &self,
        objects: &[ObjectMeta],
        make_body: impl Fn(&ObjectMeta) -> String,
    ) -> Result<usize> {
        let mut sent = 0;
        for batch in objects.chunks(BATCH) {
            let known = self.known(batch).await?;
            let fresh: Vec<_> = batch
                .iter()
                .zip(known)
                .filter(|(_, known)| !known)
                .map(|(meta, _)| (name(meta), make_body(meta)))
                .collect();
            if fresh.is_empty() {
                continue;
            }
            let now = self.clock.now_ms();
            sent += self
                .database
                .write("announce inputs to", move |tx| {
                    let mut sent = 0;
                    for ((key, version), body) in &fresh {
                        // Another process may have been faster.
                        let new = tx
                            .prepare_cached("INSERT OR IGNORE INTO announced (key, version) VALUES (?1, ?2)")?
                            .execute(params![key, version])?;
                        if new == 1 {
                            enqueue(tx, body, now)?;
                            sent += 1;
                        }
                    }
                    Ok(sent)
                })
                .await?;
        }
        Ok(sent)
    }

    /// Whether any of these was not announced in that version.
    ///
    /// # Errors
    /// As any reading of the database.
    pub async fn any_new(&self, objects: &[ObjectMeta]) -> Result<bool> {
        for batch in objects.chunks(BATCH) {
            if self.known(batch).await?.contains(&false) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether this version of the input was announced.
    ///
    /// # Errors
    /// As any reading of the database.
    pub async fn announced(&self, key: &str, version: Option<&str>) -> Result<bool> {
        let known = self.look(vec![(key.to_owned(), version.unwrap_or_default().to_owned())]).await?;
        Ok(known.first().copied().unwrap_or(false))
    }

    async fn known(&self, objects: &[ObjectMeta]) -> Result<Vec<bool>> {
        self.look(objects.iter().map(name).collect()).await
    }

    async fn look(&self, names: Vec<(String, String)>) -> Result<Vec<bool>> {
        self.database
            .read("look for inputs in", move |c| {
                let mut statement =
                    c.prepare_cached("SELECT 1 FROM announced WHERE key = ?1 AND version = ?2")?;
                names
                    .iter()
                    .map(|(key, version)| {
                        let found = statement.query_row(params![key, version], |_| Ok(())).optional()?;
                        Ok(found.is_some())
                    })
                    .collect()
            })
            .await
    }
}

fn name(meta: &ObjectMeta) -> (String, String) {
    (meta.object.key.clone(), meta.object.version.clone().unwrap_or_default())
}
