//! What is derived from the command tree: completions, manual pages and `docs/cli.md`.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory as _};

use super::Exit;
use super::output::Output;
use crate::cli::Cli;
use crate::operations::{OperationError, Result};

pub(super) fn completions(out: &Output, shell: clap_complete::Shell) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "shepard", &mut script);
    out.write(|out| out.write_all(&script))?;
    Ok(Exit::Ok)
}

pub(super) fn man(out: &Output, to: Option<&Path>) -> Result<Exit> {
    let pages =
        man_pages().map_err(|error| OperationError::Environment(format!("cannot write a page: {error}")))?;
    let Some(to) = to else {
        if let Some((_, page)) = pages.first() {
            out.write(|out| out.write_all(page))?;
        }
        return Ok(Exit::Ok);
    };
    fs::create_dir_all(to).map_err(OperationError::io("make", to))?;
    for (name, page) in pages {
        let path = to.join(name);
        fs::write(&path, page).map_err(OperationError::io("write", &path))?;
        out.note(&format!("wrote {}", path.display()));
    }
    Ok(Exit::Ok)
}

/// Every manual page, the main one first: file name and roff text.
///
/// # Errors
/// None in practice: the pages are written to memory.
pub fn man_pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut tree = Cli::command();
    // The global flags are on the main page; the built-in help subcommand has nothing of its own to say.
    tree = tree.disable_help_subcommand(true);
    tree.build();
    let mut pages = Vec::new();
    collect(&tree, &mut pages)?;
    Ok(pages)
}

fn collect(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut page = Vec::new();
    let plain = command.clone().mut_args(|argument| argument.hide_env_values(true));
    clap_mangen::Man::new(plain).title(name.to_uppercase()).render(&mut page)?;
    pages.push((format!("{name}.1"), page));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        collect(sub, pages)?;
    }
    Ok(())
}

/// `docs/cli.md`: the help of every subcommand, as the binary prints it.
pub fn cli_document() -> String {
    let mut tree = Cli::command().disable_help_subcommand(true).term_width(100);
    tree.build();
    let mut text = String::from(
        "# Subcommands\n\n<!-- Written by `cargo xtask generate` from src/cli.rs. -->\n\n\
         Every subcommand takes the global options, which are shown once. What `--output json` prints is in\n\
         [json.md](json.md), the exit codes are in [exit-codes.md](exit-codes.md).\n",
    );
    describe(&mut text, &tree, &mut vec!["shepard".to_owned()]);
    text
}

fn describe(text: &mut String, command: &Command, path: &mut Vec<String>) {
    let below = path.len() > 1;
    // The value a variable has where this runs belongs into no document.
    let mut own = command.clone().bin_name(path.join(" ")).mut_args(|argument| {
        let shared = argument.is_global_set();
        argument.hide(below && shared).hide_env_values(true)
    });
    let help = own.render_long_help().to_string();
    // Writing to a string cannot fail.
    let _ = write!(text, "\n## `{}`\n\n```text\n", path.join(" "));
    for line in help.trim_end().lines() {
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push_str("```\n");
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        path.push(sub.get_name().to_owned());
        describe(text, sub, path);
        path.pop();
    }
}
