//! Shepard's console: the map of the crate and its import rules, which `tests/architecture.rs` holds.
//!
//! | module | is | may import | never |
//! |---|---|---|---|
//! | `app` | the functional core: plain data, `update(&mut Model, Msg) -> Vec<Effect>` | model, `screens` for dispatch | tokio, cloud, ratatui, the clock |
//! | `screens` | one file a screen: its state, update, view, actions | app, ui, model | tokio, cloud |
//! | `ui` | theme, layout, widgets | ratatui | app, cloud |
//! | `feeds` | what streams into the core: jobs, logs, flocks | cloud, model, tokio, app's messages | ratatui, screens |
//! | `operations` | what a person can do, once for keys and for subcommands: batch, retry, terminate, retrieve | cloud, lambdas, model, `local` | ratatui, app, screens |
//! | `template` | the stack's template as text and as data, checks and cost before anything is sent | operations' error | ratatui, app, screens, cloud |
//! | `local` | the supervisor of the local flock: feeds the scheduler core, runs the worker core | cloud, lambdas, worker, model, tokio | ratatui, app, screens |
//! | `commands` | the subcommands: parse, call `operations`, print | everything but ratatui, app, screens | |
//! | `shell` | the select loop, effect runner, terminal guard, recorder | everything | |

pub mod app;
pub mod cli;
pub mod commands;
pub mod config;
pub mod feeds;
pub mod local;
pub mod operations;
pub mod screens;
pub mod shell;
pub mod template;
pub mod ui;
