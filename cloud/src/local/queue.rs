//! The queue of uploads: visibility, redelivery and dead letters, as SQS has them.
//!
//! At least once: a message is gone only when it is deleted, or is given up on after so many deliveries and lies
//! among the dead letters, from where a person can send it back. A receipt names one delivery; once a message is
//! delivered again the earlier receipts are words.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::database::{Database, Failure};
use super::table::limit_of;
use crate::error::Result;
use crate::ports::{Clock, Depth, Message, Queue};

/// Deliveries of a message after which it is given up on.
pub const MAX_RECEIVE: u32 = 5;

/// The queue of a local flock.
#[derive(Clone)]
pub struct LocalQueue {
    database: Database,
    clock: Arc<dyn Clock>,
}

impl LocalQueue {
    pub(super) fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }

    /// Makes every hidden message visible. For the one process that receives, when it begins: whatever is in
    /// flight then was taken by one that is dead. Deliveries count on, so that a message which kills its receiver
    /// ends among the dead letters.
    ///
    /// # Errors
    /// As any change of the database.
    pub async fn reset_in_flight(&self) -> Result<u64> {
        let now = self.clock.now_ms();
        self.database
            .write("free the messages of", move |tx| {
                let freed = tx
                    .prepare_cached("UPDATE messages SET visible_ms = ?1 WHERE visible_ms > ?1")?
                    .execute([now])?;
                Ok(freed as u64)
            })
            .await
    }
}

/// Puts a message in, within a transaction of the caller's.
pub(super) fn enqueue(tx: &Transaction<'_>, body: &str, visible_ms: i64) -> Result<(), Failure> {
    tx.prepare_cached("INSERT INTO messages (body, visible_ms, deliveries) VALUES (?1, ?2, 0)")?
        .execute(params![body, visible_ms])?;
    Ok(())
}

#[async_trait]
impl Queue for LocalQueue {
    async fn send(&self, bodies: &[String], after_ms: i64) -> Result<()> {
        if bodies.is_empty() {
            return Ok(());
        }
        let (bodies, visible_ms) = (bodies.to_vec(), self.clock.now_ms().saturating_add(after_ms.max(0)));
        self.database
            .write("send a message to", move |tx| {
                bodies.iter().try_for_each(|body| enqueue(tx, body, visible_ms))
            })
            .await
    }

    async fn receive(&self, max: usize, hide_ms: i64) -> Result<Vec<Message>> {
        let now = self.clock.now_ms();
        // An empty queue is asked often; it must not take a turn from those who write.
        let any = self
            .database
            .read("receive messages from", move |c| {
                let visible = c
                    .prepare_cached("SELECT 1 FROM messages WHERE visible_ms <= ?1 LIMIT 1")?
                    .query_row([now], |_| Ok(()))
                    .optional()?;
                Ok(visible.is_some())
            })
            .await?;
        if !any || max == 0 {
            return Ok(Vec::new());
        }
        self.database.write("receive messages from", move |tx| receive(tx, max, now, hide_ms)).await
    }

    async fn delete(&self, receipts: &[String]) -> Result<()> {
        let receipts: Vec<_> = receipts.iter().filter_map(|receipt| parse(receipt)).collect();
        if receipts.is_empty() {
            return Ok(());
        }
        self.database
            .write("delete messages from", move |tx| {
                let mut statement =
                    tx.prepare_cached("DELETE FROM messages WHERE number = ?1 AND deliveries = ?2")?;
                for (number, delivery) in receipts {
                    statement.execute(params![number, delivery])?;
                }
                Ok(())
            })
            .await
    }

    async fn release(&self, receipt: &str, after_ms: i64) -> Result<()> {
        let Some((number, delivery)) = parse(receipt) else { return Ok(()) };
        let visible_ms = self.clock.now_ms().saturating_add(after_ms.max(0));
        self.database
            .write("release a message of", move |tx| {
                tx.prepare_cached(
                    "UPDATE messages SET visible_ms = ?3 WHERE number = ?1 AND deliveries = ?2",
                )?
                .execute(params![number, delivery, visible_ms])?;
                Ok(())
            })
            .await
    }

    async fn depth(&self) -> Result<Depth> {
        let now = self.clock.now_ms();
        self.database
            .read("measure the queue of", move |c| {
                let count = |sql: &str| -> Result<u64, Failure> {
                    let number: i64 = c.prepare_cached(sql)?.query_row([now], |row| row.get(0))?;
                    Ok(u64::try_from(number).unwrap_or(0))
                };
                Ok(Depth {
                    waiting: count("SELECT count(*) FROM messages WHERE visible_ms <= ?1")?,
                    in_flight: count("SELECT count(*) FROM messages WHERE visible_ms > ?1")?,
                    dead: count("SELECT count(*) FROM dead_letters WHERE ?1 NOTNULL")?,
                })
            })
            .await
    }

    async fn redrive(&self) -> Result<u64> {
        let now = self.clock.now_ms();
        self.database
            .write("redrive the dead letters of", move |tx| {
                // New messages with new numbers: no receipt of their former lives holds.
                let moved = tx.execute(
                    "INSERT INTO messages (body, visible_ms, deliveries)
                     SELECT body, ?1, 0 FROM dead_letters ORDER BY number",
                    [now],
                )?;
                tx.execute("DELETE FROM dead_letters", [])?;
                Ok(moved as u64)
            })
            .await
    }
}

fn receive(tx: &Transaction<'_>, max: usize, now: i64, hide_ms: i64) -> Result<Vec<Message>, Failure> {
    let hidden_until = now.saturating_add(hide_ms.max(1));
    let mut messages = Vec::new();
    // Each round takes what it finds out of sight, so the next finds others.
    while messages.len() < max {
        let found: Vec<(i64, String, u32)> = tx
            .prepare_cached(
                "SELECT number, body, deliveries FROM messages WHERE visible_ms <= ?1
                 ORDER BY visible_ms, number LIMIT ?2",
            )?
            .query_map(params![now, limit_of(max - messages.len())], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<Result<_, _>>()?;
        if found.is_empty() {
            break;
        }
        for (number, body, deliveries) in found {
            if deliveries >= MAX_RECEIVE {
                tx.prepare_cached("INSERT INTO dead_letters (body, dead_ms) VALUES (?1, ?2)")?
                    .execute(params![body, now])?;
                tx.prepare_cached("DELETE FROM messages WHERE number = ?1")?.execute([number])?;
                continue;
            }
            let deliveries = deliveries + 1;
            tx.prepare_cached("UPDATE messages SET visible_ms = ?2, deliveries = ?3 WHERE number = ?1")?
                .execute(params![number, hidden_until, deliveries])?;
            messages.push(Message { receipt: format!("{number}-{deliveries}"), body, deliveries });
        }
    }
    Ok(messages)
}

fn parse(receipt: &str) -> Option<(i64, u32)> {
    let (number, delivery) = receipt.split_once('-')?;
    Some((number.parse().ok()?, delivery.parse().ok()?))
}
