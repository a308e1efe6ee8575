//! The jobs of a flock: everything at first, then what changed.

use std::sync::Arc;

use async_trait::async_trait;
use shepard_cloud::ports::Cursor;
use shepard_cloud::{CloudError, Table};

use super::pump::Source;
use crate::app::Msg;
use crate::app::msg::JobsChange;
use crate::operations::flock::Signs;

/// Rows read at once: a few milliseconds of reading and of merging.
const PAGE: usize = 2_000;

/// Reads the changes of one flock's table.
#[derive(Debug)]
pub struct Jobs<T: ?Sized + Table> {
    flock: String,
    table: Arc<T>,
    signs: Signs,
    cursor: Cursor,
    caught_up: bool,
    more: bool,
}

impl<T: ?Sized + Table> Jobs<T> {
    /// Goes on at a cursor; `Cursor::default()` is the beginning.
    pub fn new(flock: String, table: Arc<T>, signs: Signs, cursor: Cursor) -> Self {
        Self { flock, table, signs, cursor, caught_up: false, more: false }
    }
}

#[async_trait]
impl<T: ?Sized + Table> Source for Jobs<T> {
    async fn read(&mut self) -> Result<Option<Msg>, CloudError> {
        let changes = self.table.changes(self.cursor, PAGE).await?;
        self.cursor = changes.next;
        let news = !(changes.rows.is_empty() && changes.removed.is_empty());
        let first = !self.caught_up && !changes.more;
        self.caught_up |= !changes.more;
        self.more = changes.more;
        Ok((news || first).then(|| {
            Msg::Jobs(JobsChange {
                flock: self.flock.clone(),
                rows: changes.rows,
                removed: changes.removed,
                next: changes.next.0,
                caught_up: self.caught_up,
            })
        }))
    }

    async fn wait(&mut self) {
        self.signs.changed().await;
    }

    fn has_more(&self) -> bool {
        self.more
    }
}
