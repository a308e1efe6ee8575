//! The person's own files: themes and keys. Themes are read anew when they change.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::app::keymap::Keymap;
use crate::config::Config;
use crate::ui::theme::BUILT_IN;
use crate::ui::{ColorDepth, Look, Theme};

/// The look in use, and the themes there are.
pub(super) struct Looks {
    look: Look,
    name: String,
    folder: PathBuf,
    depth: ColorDepth,
    ascii: bool,
    changes: mpsc::Receiver<()>,
    /// A change was seen and not read yet: waiting may be broken off at any await.
    stale: bool,
    // Watches for as long as it lives. None where there is no folder to watch.
    _watcher: Option<RecommendedWatcher>,
}

impl Looks {
    /// Loads the theme of the configuration. Also gives what is wrong with it; the default one stands in then.
    pub(super) fn load(config: &Config) -> (Self, Vec<String>) {
        let folder = config.dirs.themes();
        // One place: a change that finds it taken is part of the one that is waiting there.
        let (to, changes) = mpsc::channel(1);
        let watcher = watch(&folder, to);
        let depth = ColorDepth::detect(|name| std::env::var(name).ok());
        let mut looks = Self {
            look: Look::new(Theme::default().at(depth), config.ascii),
            name: "default".to_owned(),
            folder,
            depth,
            ascii: config.ascii,
            changes,
            stale: false,
            _watcher: watcher,
        };
        let problems = looks.choose(&config.theme).err().into_iter().collect();
        (looks, problems)
    }

    /// What to draw with.
    pub(super) fn look(&self) -> &Look {
        &self.look
    }

    /// The theme's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Every theme there is: the built-in ones and those in the person's folder.
    pub(super) fn names(&self) -> Vec<String> {
        let own = fs::read_dir(&self.folder).into_iter().flatten().flatten().filter_map(|entry| {
            let path = entry.path();
            let toml = path.extension().is_some_and(|extension| extension == "toml");
            toml.then(|| path.file_stem().map(|stem| stem.to_string_lossy().into_owned())).flatten()
        });
        let mut names: Vec<String> = BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).chain(own).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Changes the theme. The person's own file wins over a built-in theme of the same name.
    pub(super) fn choose(&mut self, name: &str) -> Result<(), String> {
        let theme = read(&self.folder, name)?;
        self.look = Look::new(theme.at(self.depth), self.ascii);
        self.name = name.to_owned();
        Ok(())
    }

    /// Waits until the theme's file has changed, and reads it. A mistake in it is given back, and the look stays.
    pub(super) async fn changed(&mut self) -> Option<String> {
        if !self.stale && self.changes.recv().await.is_none() {
            // Nothing is watched: never wake the loop.
            std::future::pending::<()>().await;
        }
        self.stale = true;
        // An editor writes a file in several steps; the last of them is the one to read.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        self.stale = false;
        let name = self.name.clone();
        self.choose(&name).err()
    }
}

fn watch(folder: &Path, to: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
            // Full means that a change is waiting to be read already.
            let _ = to.try_send(());
        }
    })
    .ok()?;
    watcher.watch(folder, RecursiveMode::NonRecursive).ok()?;
    Some(watcher)
}

fn read(folder: &Path, name: &str) -> Result<Theme, String> {
    if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(format!("{name:?} is not the name of a theme"));
    }
    let path = folder.join(format!("{name}.toml"));
    match fs::read_to_string(&path) {
        Ok(source) => Theme::parse(name, &source).map_err(|error| format!("{}: {error}", path.display())),
        Err(_) => Theme::built_in(name).map_err(|error| error.to_string()),
    }
}

/// The key bindings of the person, over the defaults. Also gives what is wrong with them.
pub(super) fn keymap(config: &Config) -> (Keymap, Vec<String>) {
    let (replaced, mut problems) = match fs::read_to_string(&config.keys) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (BTreeMap::new(), Vec::new()),
        Err(error) => (BTreeMap::new(), vec![format!("{}: {error}", config.keys.display())]),
        Ok(text) => match toml::from_str::<BTreeMap<String, Vec<String>>>(&text) {
            Ok(replaced) => (replaced, Vec::new()),
            Err(error) => {
                let first = error.to_string().lines().next().unwrap_or_default().to_owned();
                (
                    BTreeMap::new(),
                    vec![format!("{}: {first}; the default keys are in force", config.keys.display())],
                )
            }
        },
    };
    let (keymap, more) = Keymap::new(&replaced, config.read_only);
    problems.extend(more);
    (keymap, problems)
}
