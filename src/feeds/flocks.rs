//! The flocks of this machine: which there are, whether they are looked after, how their jobs stand.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::future::select_all;
use shepard_cloud::CloudError;
use shepard_cloud::local::{FlockDir, Home, LocalFlock, Settings, Watch};

use super::pump::Source;
use crate::app::Msg;
use crate::app::msg::FlockRow;
use crate::local;

/// How often flocks that were made or removed, and supervisors that died without a word, are looked for.
const EVERY: Duration = Duration::from_secs(2);
/// Least time between two looks at busy flocks: counts need not move faster than a person reads.
const GAP: Duration = Duration::from_millis(200);

/// Reads the list of flocks.
#[derive(Debug)]
pub struct Flocks {
    home: Home,
    open: HashMap<String, Open>,
    last: Option<Vec<FlockRow>>,
}

/// A flock that is open, and what its folder was when it was opened: one that was removed and made anew under the
/// same name is another flock.
#[derive(Debug)]
struct Open {
    flock: LocalFlock,
    watch: Watch,
    inode: u64,
    /// When the inputs folder had last changed when it was looked through, and what was found.
    looked: Option<(SystemTime, bool)>,
}

impl Flocks {
    /// The flocks below a data directory.
    pub fn new(home: Home) -> Self {
        Self { home, open: HashMap::new(), last: None }
    }

    async fn rows(&mut self) -> Result<Vec<FlockRow>, CloudError> {
        let home = self.home.clone();
        let dirs = super::blocking(move || home.list()).await?;
        self.open
            .retain(|name, open| dirs.iter().any(|dir| dir.name() == name && inode(dir) == Some(open.inode)));
        let mut rows = Vec::with_capacity(dirs.len());
        for dir in dirs {
            let row = match self.row(&dir).await {
                Ok(row) => row,
                // One flock that cannot be read does not hide the others.
                Err(error) => FlockRow {
                    name: dir.name().to_owned(),
                    problem: Some(error.to_string()),
                    ..FlockRow::default()
                },
            };
            rows.push(row);
        }
        Ok(rows)
    }

    async fn row(&mut self, dir: &FlockDir) -> Result<FlockRow, CloudError> {
        if !self.open.contains_key(dir.name()) {
            let at = dir.clone();
            let open = super::blocking(move || {
                let flock = LocalFlock::open(&at)?;
                Ok::<_, CloudError>(Open {
                    flock,
                    watch: Watch::new(&at),
                    inode: inode(&at).unwrap_or_default(),
                    looked: None,
                })
            });
            self.open.insert(dir.name().to_owned(), open.await?);
        }
        let Some(open) = self.open.get_mut(dir.name()) else { return Ok(FlockRow::default()) };
        let (running, pid) = local::looked_after(dir);
        let unseen = !running && open.unseen(dir).await?;
        let flock = &open.flock;
        let counts = flock.counts().await?;
        let depth = flock.ports().queue.depth().await?;
        // Read anew each time: a deploy changes what a flock runs while it is open here.
        let at = dir.clone();
        let settings = super::blocking(move || at.settings()).await?;
        Ok(FlockRow {
            name: dir.name().to_owned(),
            running,
            pid,
            counts,
            waiting: depth.waiting + depth.in_flight,
            dead: depth.dead,
            max_jobs: settings.max_jobs,
            payload: payload(&settings),
            image: settings.image,
            isolation: settings.isolation,
            places: places(dir),
            unseen,
            problem: None,
            aws: None,
        })
    }
}

impl Open {
    /// Whether the inputs folder holds an upload that was never taken up. Looks through it only when the folder has
    /// changed since the last look, because it may hold very many.
    async fn unseen(&mut self, dir: &FlockDir) -> Result<bool, CloudError> {
        let inputs = dir.bucket("inputs")?;
        let Ok(changed) = super::blocking(move || std::fs::metadata(inputs)?.modified()).await else {
            return Ok(false);
        };
        if let Some((_, unseen)) = self.looked.filter(|(at, _)| *at == changed) {
            return Ok(unseen);
        }
        let ports = self.flock.ports();
        let (mut from, mut unseen) = (None, false);
        loop {
            let page = ports.objects.list(&ports.buckets.inputs, "", from.as_deref()).await?;
            unseen |= self.flock.inbox().any_new(&page.items).await?;
            from = page.next;
            if unseen || from.is_none() {
                break;
            }
        }
        self.looked = Some((changed, unseen));
        Ok(unseen)
    }
}

fn inode(dir: &FlockDir) -> Option<u64> {
    std::fs::metadata(dir.settings_file().parent()?).ok().map(|meta| meta.ino())
}

fn payload(settings: &Settings) -> String {
    match (&settings.command, &settings.quick_deploy) {
        (Some(argv), _) => argv.join(" "),
        (None, Some(folder)) => format!("{folder}/run.sh"),
        (None, None) if settings.image.is_some() => String::new(),
        (None, None) => "what each job names".to_owned(),
    }
}

fn places(dir: &FlockDir) -> Vec<(String, String)> {
    let bucket =
        |name: &str| dir.bucket(name).ok().map(|path| (name.replace('_', "-"), path.display().to_string()));
    let mut places: Vec<(String, String)> =
        ["inputs", "outputs", "errors", "quick_deploy"].into_iter().filter_map(bucket).collect();
    places.push(("log".to_owned(), dir.supervisor_log().display().to_string()));
    places
}

#[async_trait]
impl Source for Flocks {
    async fn read(&mut self) -> Result<Option<Msg>, CloudError> {
        let rows = self.rows().await?;
        if self.last.as_ref() == Some(&rows) {
            return Ok(None);
        }
        self.last = Some(rows.clone());
        Ok(Some(Msg::Flocks(rows)))
    }

    async fn wait(&mut self) {
        let changed = self.open.values_mut().map(|open| Box::pin(open.watch.changed()));
        let any = async {
            // Waiting for the first of none would never end.
            if changed.len() == 0 {
                std::future::pending::<()>().await;
            }
            select_all(changed).await;
        };
        let _ = tokio::time::timeout(EVERY, any).await;
        tokio::time::sleep(GAP).await;
    }
}
