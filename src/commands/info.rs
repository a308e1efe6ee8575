//! `shepard info`: versions, paths, the configuration.

use serde::Serialize;

use super::output::columns;
use super::{Context, Exit};
use crate::cli;
use crate::config::TEMPLATE;
use crate::operations::Result;
use crate::operations::flocks::{self, Listed};

#[derive(Serialize)]
struct Info {
    version: &'static str,
    paths: Paths,
    config: Settings,
    flocks: Vec<Listed>,
}

#[derive(Serialize)]
struct Paths {
    data: String,
    state: String,
    config: String,
    log: String,
    journal: String,
    keys: String,
    themes: String,
}

#[derive(Serialize)]
struct Settings {
    file_found: bool,
    theme: String,
    ascii: bool,
    mouse: bool,
    flock: Option<String>,
    read_only: bool,
    log_level: String,
    unknown_keys: Vec<String>,
}

pub(super) async fn run(context: &Context<'_>, arguments: &cli::Info) -> Result<Exit> {
    if arguments.config_template {
        context.out.write(|out| out.write_all(TEMPLATE.as_bytes()))?;
        return Ok(Exit::Ok);
    }
    let config = context.config;
    let dirs = &config.dirs;
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        paths: Paths {
            data: dirs.data.display().to_string(),
            state: dirs.state.display().to_string(),
            config: dirs.config_file().display().to_string(),
            log: dirs.log().display().to_string(),
            journal: dirs.journal().display().to_string(),
            keys: config.keys.display().to_string(),
            themes: dirs.themes().display().to_string(),
        },
        config: Settings {
            file_found: dirs.config_file().exists(),
            theme: config.theme.clone(),
            ascii: config.ascii,
            mouse: config.mouse,
            flock: config.flock.clone(),
            read_only: config.read_only,
            log_level: config.log_level.clone(),
            unknown_keys: config.unknown.clone(),
        },
        flocks: flocks::list(&context.home()).await?,
    };
    if context.out.is_json() {
        context.out.json(&info)?;
        return Ok(Exit::Ok);
    }
    print(context, info)?;
    Ok(Exit::Ok)
}

fn print(context: &Context<'_>, info: Info) -> Result<()> {
    let found = if info.config.file_found {
        ""
    } else {
        "  (not there; `shepard info --config-template` prints one)"
    };
    let rows = [
        ("version", info.version.to_owned()),
        ("data", info.paths.data),
        ("log", info.paths.log),
        ("journal", info.paths.journal),
        ("config", format!("{}{found}", info.paths.config)),
        ("keys", info.paths.keys),
        ("themes", info.paths.themes),
        ("theme", info.config.theme),
        ("read-only", if info.config.read_only { "yes" } else { "no" }.to_owned()),
        ("default flock", info.config.flock.unwrap_or_else(|| "none".to_owned())),
    ];
    let flocks = info.flocks.into_iter().map(|flock| {
        let state = if flock.running { "running" } else { "stopped" };
        vec!["flock".to_owned(), format!("{} ({state})", flock.name)]
    });
    let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).chain(flocks);
    let rows: Vec<Vec<String>> = rows.collect();
    for line in columns(&rows) {
        context.out.line(&line)?;
    }
    if !info.config.unknown_keys.is_empty() {
        context.out.note(&format!("config.toml has unknown keys: {}", info.config.unknown_keys.join(", ")));
    }
    Ok(())
}
