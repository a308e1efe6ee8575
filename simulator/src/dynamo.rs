//! DynamoDB: the job table, its write and read units, of the table and of each partition.
//!
//! Pure state. Rows are kept as JSON, which is compact and gives their size. A condition that fails costs its units as
//! well. A row's partition is a hash of its id, as the table's key is.

use hashbrown::HashMap;
use shepard_cloud::ports::{Page, Put};
use shepard_cloud::{CloudError, Kind, Result};
use shepard_model::{JobId, JobRow};

use crate::meter::Meter;
use crate::quotas::Quotas;

/// Attribute names, types and lengths of an item beside its JSON, in bytes: the contract's attributes and the users'
/// variables lie in attributes of their own too.
const AROUND: usize = 180;

#[derive(Debug)]
struct Item {
    json: Box<str>,
    revision: u32,
}

/// The table.
#[derive(Debug)]
pub struct Dynamo {
    items: Vec<Item>,
    index: HashMap<JobId, u32>,
    writes: Vec<Meter>,
    reads: Vec<Meter>,
    page_bytes: usize,
    /// Items that needed more than one write unit when they were new.
    pub large: u64,
}

impl Dynamo {
    /// An empty table for so many write units a second. `factor` is on its rates.
    pub fn new(quotas: &Quotas, warm_writes: Option<u32>, factor: f64) -> Self {
        let burst = quotas.dynamodb_burst.value;
        let writes = warm_writes.map_or(quotas.dynamodb_writes.value, f64::from);
        let partitions = (writes / quotas.dynamodb_partition_writes.value).ceil().max(1.0) as usize;
        let meters = |table, rate: f64, partition, each: f64| {
            let mut meters = vec![Meter::new(table, rate * factor, burst)];
            meters.resize_with(partitions + 1, || Meter::new(partition, each * factor, burst));
            meters
        };
        let partition_reads = quotas.dynamodb_partition_reads.value;
        Self {
            items: Vec::new(),
            index: HashMap::new(),
            writes: meters(
                "dynamodb_writes",
                writes,
                "dynamodb_partition_writes",
                quotas.dynamodb_partition_writes.value,
            ),
            reads: meters(
                "dynamodb_reads",
                quotas.dynamodb_reads.value,
                "dynamodb_partition_reads",
                partition_reads,
            ),
            page_bytes: quotas.dynamodb_page.value as usize,
            large: 0,
        }
    }

    /// Every meter.
    pub fn meters(&self) -> impl Iterator<Item = &Meter> {
        self.writes.iter().chain(&self.reads)
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// No rows.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Takes the units of one request from the table and from the partition of its key, or refuses.
    fn charge(meters: &mut [Meter], now_us: u64, id: Option<&JobId>, units: f64) -> bool {
        let partition = id.map(|id| 1 + fnv(id.as_str()) as usize % (meters.len() - 1));
        for meter in [Some(0), partition].into_iter().flatten() {
            if !meters[meter].has(now_us, units) {
                meters[meter].refused += 1;
                return false;
            }
        }
        for meter in [Some(0), partition].into_iter().flatten() {
            meters[meter].take(now_us, units);
        }
        true
    }

    fn write_units(bytes: usize) -> f64 {
        (bytes + AROUND).div_ceil(1_024) as f64
    }

    fn read_units(bytes: usize) -> f64 {
        (bytes + AROUND).div_ceil(4_096) as f64
    }

    fn item(&self, id: &JobId) -> Option<&Item> {
        self.index.get(id).map(|at| &self.items[*at as usize])
    }

    /// A row without a charge: for the workers and the checks.
    pub fn look(&self, id: &JobId) -> Option<JobRow> {
        self.item(id).and_then(|item| serde_json::from_str(&item.json).ok())
    }

    /// Every row, for the checks.
    pub fn rows(&self) -> impl Iterator<Item = JobRow> + '_ {
        self.items.iter().filter_map(|item| serde_json::from_str(&item.json).ok())
    }

    /// PutItem on condition that the id is new.
    ///
    /// # Errors
    /// Too fast.
    pub fn put_new(&mut self, now_us: u64, row: &JobRow) -> Result<Put> {
        let json = serde_json::to_string(row).map_err(|error| broken(&row.id, error))?;
        let units = Self::write_units(json.len());
        if !Self::charge(&mut self.writes, now_us, Some(&row.id), units) {
            return Err(throttled("write the row", &row.id));
        }
        if let Some(known) = self.look(&row.id) {
            return Ok(Put::Exists(Box::new(known)));
        }
        self.large += u64::from(units > 1.0);
        self.insert(row.id.clone(), json);
        Ok(Put::Created)
    }

    /// Writes a row under another id as well: a planted fault.
    pub fn insert_twin(&mut self, row: &JobRow) {
        let id = JobId::of_request("planted");
        if let Ok(json) = serde_json::to_string(&JobRow { id: id.clone(), ..row.clone() })
            && self.item(&id).is_none()
        {
            self.insert(id, json);
        }
    }

    fn insert(&mut self, id: JobId, json: String) {
        self.index.insert(id, self.items.len() as u32);
        self.items.push(Item { json: json.into_boxed_str(), revision: 1 });
    }

    /// GetItem, consistent; with the revision to write on condition of.
    ///
    /// # Errors
    /// Too fast.
    pub fn get(&mut self, now_us: u64, id: &JobId) -> Result<Option<(JobRow, u32)>> {
        let units = Self::read_units(self.item(id).map_or(0, |item| item.json.len()));
        if !Self::charge(&mut self.reads, now_us, Some(id), units) {
            return Err(throttled("read the row", id));
        }
        let Some(item) = self.item(id) else { return Ok(None) };
        let row = serde_json::from_str(&item.json).map_err(|error| broken(id, error))?;
        Ok(Some((row, item.revision)))
    }

    /// PutItem on condition of a revision. False where it has changed.
    ///
    /// # Errors
    /// Too fast.
    pub fn put_changed(&mut self, now_us: u64, row: &JobRow, revision: u32) -> Result<bool> {
        let json = serde_json::to_string(row).map_err(|error| broken(&row.id, error))?;
        if !Self::charge(&mut self.writes, now_us, Some(&row.id), Self::write_units(json.len())) {
            return Err(throttled("write the row", &row.id));
        }
        Ok(self.swap(&row.id, json, revision))
    }

    fn swap(&mut self, id: &JobId, json: String, revision: u32) -> bool {
        let Some(item) = self.index.get(id).and_then(|at| self.items.get_mut(*at as usize)) else {
            return false;
        };
        if item.revision != revision {
            return false;
        }
        *item = Item { json: json.into_boxed_str(), revision: revision + 1 };
        true
    }

    /// Replaces a row without a charge: for the workers.
    pub fn replace(&mut self, row: &JobRow) {
        let Some(revision) = self.item(&row.id).map(|item| item.revision) else { return };
        if let Ok(json) = serde_json::to_string(row) {
            self.swap(&row.id, json, revision);
        }
    }

    /// Scan: a page of rows from `from`, at most a megabyte of them.
    ///
    /// # Errors
    /// Too fast.
    pub fn scan(&mut self, now_us: u64, from: Option<&str>, limit: usize) -> Result<Page<JobRow>> {
        let start = from.and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut bytes = 0;
        let fits = |item: &&Item| {
            bytes += item.json.len() + AROUND;
            bytes <= self.page_bytes
        };
        let page: Vec<&Item> = self.items.iter().skip(start).take(limit.max(1)).take_while(fits).collect();
        let items: Vec<JobRow> =
            page.iter().filter_map(|item| serde_json::from_str(&item.json).ok()).collect();
        let end = start + page.len();
        let units = Self::read_units(bytes);
        if !Self::charge(&mut self.reads, now_us, None, units) {
            return Err(CloudError::new("scan the table", "", Kind::Throttled));
        }
        Ok(Page { items, next: (end < self.items.len()).then(|| end.to_string()) })
    }
}

fn throttled(operation: &'static str, id: &JobId) -> CloudError {
    CloudError::new(operation, id.as_str(), Kind::Throttled)
}

fn broken(id: &JobId, error: serde_json::Error) -> CloudError {
    CloudError::new("write the row", id.as_str(), Kind::Other).because(error)
}

/// FNV-1a, for what must hash the same in every run.
fn fnv(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
