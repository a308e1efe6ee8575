//! The jobs of a flock: everything at first, then what changed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use shepard_cloud::ports::{Cursor, Mode};
use shepard_cloud::{CloudError, Table};

use super::pump::{GAP, Source};
use crate::app::Msg;
use crate::app::aws::Following;
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
    following: Following,
    /// After which another look is worth its cost.
    wait: Duration,
}

impl<T: ?Sized + Table> Jobs<T> {
    /// Goes on at a cursor; `Cursor::default()` is the beginning.
    pub fn new(flock: String, table: Arc<T>, signs: Signs, cursor: Cursor) -> Self {
        Self {
            flock,
            table,
            signs,
            cursor,
            caught_up: false,
            more: false,
            following: Following::Direct,
            wait: Duration::ZERO,
        }
    }
}

#[async_trait]
impl<T: ?Sized + Table> Source for Jobs<T> {
    async fn read(&mut self) -> Result<Option<Msg>, CloudError> {
        let changes = self.table.changes(self.cursor, PAGE).await?;
        self.cursor = changes.next;
        let following = match changes.mode {
            Mode::Direct => Following::Direct,
            Mode::Stream => Following::Stream,
            Mode::Poll { every_ms } => Following::Poll { every_ms },
        };
        self.wait = Duration::from_millis(changes.wait_ms);
        let other = std::mem::replace(&mut self.following, following) != following;
        let news = other || !(changes.rows.is_empty() && changes.removed.is_empty());
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
                following: self.following,
            })
        }))
    }

    async fn wait(&mut self) {
        self.signs.changed_after(self.wait).await;
    }

    fn pause(&self) -> Duration {
        self.wait.max(GAP)
    }

    fn has_more(&self) -> bool {
        self.more
    }
}
