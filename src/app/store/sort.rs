//! The order of a table: one definition of "before", used for a full sort, for merging changes and for finding a row.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::rows::{IdBuf, Row, Snapshot};

/// A set of columns, to know whether a change can matter to an order or a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fields(u16);

impl Fields {
    /// No column.
    pub const NONE: Self = Self(0);
    /// Id.
    pub const ID: Self = Self(1);
    /// Input key.
    pub const INPUT: Self = Self(1 << 1);
    /// Tag.
    pub const TAG: Self = Self(1 << 2);
    /// State.
    pub const STATE: Self = Self(1 << 3);
    /// When the row was written.
    pub const CREATED: Self = Self(1 << 4);
    /// When it started.
    pub const STARTED: Self = Self(1 << 5);
    /// When it ended.
    pub const ENDED: Self = Self(1 << 6);
    /// Attempts.
    pub const ATTEMPTS: Self = Self(1 << 7);
    /// Exit code.
    pub const EXIT: Self = Self(1 << 8);
    /// Reason.
    pub const REASON: Self = Self(1 << 9);
    /// All of them: a row that is new or gone.
    pub const ALL: Self = Self((1 << 10) - 1);

    /// Both sets.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether they share a column.
    pub const fn touches(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether it is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A column to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortKey {
    /// When the row was written.
    #[default]
    Created,
    /// State, in the order of the funnel.
    State,
    /// Input key, byte by byte.
    Input,
    /// Tag.
    Tag,
    /// When it started.
    Started,
    /// How long it ran. What still runs counts as longer than what has ended, the earliest start first, so that
    /// the order does not change by the mere passing of time.
    Duration,
    /// Attempts.
    Attempts,
    /// Reason.
    Reason,
    /// Id.
    Id,
}

impl SortKey {
    /// All of them, in the order in which a key steps through them.
    pub const ALL: [Self; 9] = [
        Self::Created,
        Self::State,
        Self::Input,
        Self::Tag,
        Self::Started,
        Self::Duration,
        Self::Attempts,
        Self::Reason,
        Self::Id,
    ];

    /// The word for it on the screen and in commands.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::State => "state",
            Self::Input => "input",
            Self::Tag => "tag",
            Self::Started => "started",
            Self::Duration => "duration",
            Self::Attempts => "attempts",
            Self::Reason => "reason",
            Self::Id => "id",
        }
    }

    /// The key of that name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.word().eq_ignore_ascii_case(word))
    }

    /// The next one, and the first after the last.
    #[must_use]
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|key| *key == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }
}

/// Column and direction. Rows that lack the value come last either way; ties are broken by newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sort {
    /// By what.
    pub key: SortKey,
    /// Largest first.
    pub descending: bool,
}

impl Default for Sort {
    fn default() -> Self {
        Self { key: SortKey::Created, descending: true }
    }
}

/// Comes after every value.
const MISSING: u64 = u64::MAX;

impl Sort {
    /// The columns the order depends on.
    pub fn fields(self) -> Fields {
        let key = match self.key {
            SortKey::Created => Fields::NONE,
            SortKey::State => Fields::STATE,
            SortKey::Input => Fields::INPUT,
            SortKey::Tag => Fields::TAG,
            SortKey::Started => Fields::STARTED,
            SortKey::Duration => Fields::STARTED.or(Fields::ENDED),
            SortKey::Attempts => Fields::ATTEMPTS,
            SortKey::Reason => Fields::REASON,
            SortKey::Id => Fields::ID,
        };
        key.or(Fields::CREATED)
    }

    /// The whole order of two rows.
    pub(crate) fn compare(self, rows: &Snapshot, a: u32, b: u32) -> Ordering {
        let (Some(row_a), Some(row_b)) = (rows.row(a), rows.row(b)) else { return a.cmp(&b) };
        self.prefix(&row_a, 0)
            .cmp(&self.prefix(&row_b, 0))
            .then_with(|| self.rest(&row_a, &row_b))
            .then_with(|| tie(&row_a).cmp(&tie(&row_b)))
            .then(a.cmp(&b))
    }

    /// A number that orders rows as far as 64 bits can; `skip` bytes that all texts share are left out.
    fn prefix(self, row: &Row<'_>, skip: usize) -> u64 {
        let mut buf = IdBuf::default();
        let value = match self.key {
            SortKey::Created => Some(from_signed(row.created_ms())),
            SortKey::State => Some(row.state() as u64),
            SortKey::Input => Some(row.input()).filter(|key| !key.is_empty()).map(|key| head(key, skip)),
            SortKey::Tag => row.tag().map(|tag| head(tag, skip)),
            SortKey::Started => row.started_ms().map(from_signed),
            SortKey::Duration => row.started_ms().map(|started| match row.ended_ms() {
                Some(ended) => ended.saturating_sub(started).max(0).cast_unsigned(),
                None => from_signed(started.saturating_neg()) | 1 << 63,
            }),
            SortKey::Attempts => Some(u64::from(row.attempts())),
            SortKey::Reason => row.reason().map(|reason| head(reason, skip)),
            SortKey::Id => Some(head(row.id_text(&mut buf), skip)),
        };
        self.place(value)
    }

    fn place(self, value: Option<u64>) -> u64 {
        match value {
            None => MISSING,
            Some(value) if self.descending => (MISSING - 1).saturating_sub(value),
            Some(value) => value.min(MISSING - 1),
        }
    }

    /// What decides between rows of the same prefix.
    fn rest(self, a: &Row<'_>, b: &Row<'_>) -> Ordering {
        let order = match self.key {
            SortKey::Input => a.input().cmp(b.input()),
            SortKey::Tag if a.tag_symbol() == b.tag_symbol() => Ordering::Equal,
            SortKey::Tag => a.tag().cmp(&b.tag()),
            SortKey::Reason if a.reason_symbol() == b.reason_symbol() => Ordering::Equal,
            SortKey::Reason => a.reason().cmp(&b.reason()),
            SortKey::Id => a.id_text(&mut IdBuf::default()).cmp(b.id_text(&mut IdBuf::default())),
            _ => Ordering::Equal,
        };
        if self.descending { order.reverse() } else { order }
    }

    /// Sorts every index of `order` from scratch.
    pub(crate) fn all(self, rows: &Snapshot, order: &mut Vec<u32>) {
        let ranks = match self.key {
            SortKey::Tag => rank(rows.tags.len(), |symbol| rows.tags.get(symbol)),
            SortKey::Reason => rank(rows.reasons.len(), |symbol| rows.reasons.get(symbol)),
            _ => Vec::new(),
        };
        let skip = if self.key == SortKey::Input { shared_prefix(rows, order.iter().copied()) } else { 0 };
        let mut keyed: Vec<(u64, u64, u32)> = order
            .iter()
            .filter_map(|&index| {
                let row = rows.row(index)?;
                let prefix = match self.key {
                    SortKey::Tag => self.place(ranks.get(row.tag_symbol() as usize).copied()),
                    SortKey::Reason => self.place(ranks.get(row.reason_symbol() as usize).copied()),
                    _ => self.prefix(&row, skip),
                };
                Some((prefix, tie(&row), index))
            })
            .collect();
        if matches!(self.key, SortKey::Input | SortKey::Id) {
            self.text(rows, &mut keyed, skip);
        } else {
            keyed.sort_unstable();
        }
        order.clear();
        order.extend(keyed.into_iter().map(|(_, _, index)| index));
    }
}

impl Sort {
    /// Sorts rows whose prefixes hold the eight bytes of their text after `skip`. Keys made by one program look alike
    /// for long stretches, so rows that agree that far go on with the next eight bytes in which they differ,
    /// rather than comparing whole texts again and again.
    fn text(self, rows: &Snapshot, keyed: &mut [(u64, u64, u32)], skip: usize) {
        // Within a run by index, for then the next round reads the rows in the order in which they lie.
        keyed.sort_unstable_by_key(|key| (key.0, key.2));
        for run in keyed.chunk_by_mut(|a, b| a.0 == b.0) {
            // A prefix that is not full ends its text; what is left to tell apart is not worth another round.
            let full = rows
                .row(run[0].2)
                .is_some_and(|row| self.key == SortKey::Input && row.input().len() >= skip + 8);
            if run.len() < 32 || run[0].0 == MISSING || !full {
                run.sort_unstable_by(|a, b| {
                    let rest = match (rows.row(a.2), rows.row(b.2)) {
                        (Some(row_a), Some(row_b)) => self.rest(&row_a, &row_b),
                        _ => Ordering::Equal,
                    };
                    rest.then((a.1, a.2).cmp(&(b.1, b.2)))
                });
                continue;
            }
            let deeper = shared_prefix(rows, run.iter().map(|key| key.2));
            if deeper < skip + 8 {
                // Cannot be: they agree at least that far. Then the comparison of whole texts is right as well.
                run.sort_unstable_by(|a, b| self.compare(rows, a.2, b.2));
                continue;
            }
            for key in &mut *run {
                key.0 = self.place(rows.row(key.2).map(|row| head(row.input(), deeper)));
            }
            if run.iter().all(|key| key.0 == run[0].0) {
                run.sort_unstable_by(|a, b| self.compare(rows, a.2, b.2));
            } else {
                self.text(rows, run, deeper);
            }
        }
    }
}

/// Newest first.
fn tie(row: &Row<'_>) -> u64 {
    !from_signed(row.created_ms())
}

/// Keeps the order of signed numbers.
fn from_signed(value: i64) -> u64 {
    value.cast_unsigned() ^ 1 << 63
}

/// The first eight bytes after `skip`, so that their order is the text's.
fn head(text: &str, skip: usize) -> u64 {
    let mut bytes = [0; 8];
    let rest = text.as_bytes().get(skip..).unwrap_or_default();
    let length = rest.len().min(8);
    bytes[..length].copy_from_slice(&rest[..length]);
    u64::from_be_bytes(bytes)
}

/// How many leading bytes all keys share; keys that are absent do not count.
fn shared_prefix(rows: &Snapshot, order: impl Iterator<Item = u32>) -> usize {
    let mut keys = order.filter_map(|index| rows.row(index).map(|row| row.input()));
    let Some(first) = keys.by_ref().find(|key| !key.is_empty()) else { return 0 };
    keys.filter(|key| !key.is_empty()).fold(first.len(), |shared, key| {
        if key.as_bytes().get(..shared) == first.as_bytes().get(..shared) {
            return shared;
        }
        first.as_bytes()[..shared].iter().zip(key.as_bytes()).take_while(|(a, b)| a == b).count()
    })
}

/// The place of each symbol's word among all of them, in order. A symbol that is free has one too; nobody asks.
fn rank<'a>(length: usize, word: impl Fn(u32) -> Option<&'a str>) -> Vec<u64> {
    let mut symbols: Vec<u32> = (0..u32::try_from(length).unwrap_or(u32::MAX)).collect();
    symbols.sort_unstable_by(|a, b| word(*a).cmp(&word(*b)));
    let mut ranks = vec![0; length];
    for (place, symbol) in (0..).zip(symbols) {
        ranks[symbol as usize] = place;
    }
    ranks
}
