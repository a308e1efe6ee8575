//! Chores of the project: `cargo xtask generate` writes what is derived from the code, `--check` fails where a file
//! on disk differs from it; `cargo xtask lambda` builds the Lambda program's zip, `cargo xtask worker` the program of a
//! flock's image, `cargo xtask dist` both and a console that carries the zip. CI runs the check; nothing here is part of the
//! product.

mod dist;
mod lambda;
mod musl;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use io::Write as _;
use shepard::app::actions::{ACTIONS, Reach, Scope};
use shepard::ui::Role;
use shepard::ui::theme::BUILT_IN;

/// The profile of what is shipped: little to load.
const WORKER_PROFILE: &str = "lambda";
/// The profile of what is tried.
const QUICK_PROFILE: &str = "quick";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["generate"] => generate(false),
        ["generate", "--check"] => generate(true),
        ["lambda"] => lambda::build(&root()).map(|zip| {
            say(&format!("wrote {}", zip.display()));
            true
        }),
        ["dist"] => dist::build(&root(), WORKER_PROFILE).map(|made| {
            say(&format!("wrote {}", made.display()));
            true
        }),
        ["worker"] => worker(WORKER_PROFILE),
        // For tests of the image: built in a fraction of the time.
        ["worker", "--quick"] => worker(QUICK_PROFILE),
        _ => {
            say(
                "usage: cargo xtask generate [--check] | cargo xtask lambda | cargo xtask worker [--quick] | \
                 cargo xtask dist",
            );
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Builds the program of a flock's image, and prints its path alone.
fn worker(profile: &str) -> io::Result<bool> {
    let path = musl::build(&root(), "shepard-container", "worker", profile)?;
    writeln!(io::stdout(), "{}", path.display())?;
    Ok(true)
}

/// Every generated file: its path from the root of the workspace, and what it must hold.
fn files() -> Vec<(&'static str, String)> {
    vec![
        ("docs/cli.md", shepard::commands::cli_document()),
        ("docs/exit-codes.md", shepard::commands::exit::document()),
        ("docs/iam.md", shepard::operations::needs::document()),
        ("docs/keys.md", keys()),
        ("docs/themes.md", themes()),
    ]
}

/// `docs/keys.md`, from the one table of actions.
fn keys() -> String {
    let mut text = String::from(
        "# Keys\n\n<!-- Written by `cargo xtask generate` from src/app/actions.rs. -->\n\n\
         The names in the last column are those of `keys.toml` and of the command bar. What changes a flock is absent \
         with\n`--read-only`; what destroys or stops something asks first.\n\n\
         ```toml\n# ~/.config/shepard/keys.toml: an action takes these keys instead of its own; [] takes them away\n\
         down = [\"j\", \"ctrl-n\", \"down\"]\nretry = [\"e\"]\nmouse = []\n```\n\n\
         A key is a character (`a`, `G`, `?`), a name (`enter` `esc` `tab` `backtab` `space` `up` `down` `left` `right` \
         `home`\n`end` `pgup` `pgdn` `delete` `insert` `backspace`), either with `ctrl-` or `alt-` before it. An entry \
         whose key clashes with\nanother entry of the same group is left out, and the console says so.\n",
    );
    for scope in Scope::ALL {
        text.push_str(&format!("\n## {}\n\n| key | does | name |\n|---|---|---|\n", scope.title()));
        for spec in ACTIONS.iter().filter(|spec| spec.scope == scope) {
            // A bar ends a cell of the table, even between backquotes.
            let keys: Vec<String> =
                spec.keys.iter().map(|key| format!("`{}`", key.replace('|', "\\|"))).collect();
            let reach = match spec.reach {
                Reach::Look => "",
                Reach::Change => " *(changes the flock)*",
                Reach::Danger => " *(asks first)*",
            };
            let keys = if keys.is_empty() { "none".to_owned() } else { keys.join(" ") };
            text.push_str(&format!("| {keys} | {}{reach} | `{}` |\n", spec.help, spec.name));
        }
    }
    text
}

/// `docs/themes.md`, from the roles and the themes that are built in.
fn themes() -> String {
    let built_in: Vec<String> = BUILT_IN.iter().map(|(name, _)| format!("`{name}`")).collect();
    let mut text = format!(
        "# Themes\n\n<!-- Written by `cargo xtask generate` from src/ui/theme.rs. -->\n\n\
         Built in are {}. `:theme NAME` changes the theme, `theme = \"NAME\"` in `config.toml`\nkeeps it. \
         `default` uses the terminal's own colours and fits light and dark screens; `NO_COLOR` means `no-colour`.\n\n\
         A theme of your own is a file in `~/.config/shepard/themes/`, read again whenever it is saved. A role that it \
         leaves out is\nthat of `default`; a mistake in it is said, and the look stays as it was.\n\n\
         ```toml\n# ~/.config/shepard/themes/mine.toml\n[palette]\nsky = \"#0b5cad\"\n\n[roles]\naccent = \"sky bold\"\n\
         selection = \"black on 7\"\nmuted = \"default\"\n```\n\n\
         A style is a colour, perhaps `on` another, and modifiers (`bold` `dim` `italic` `underline` `reverse`). A \
         colour is a name\nof the palette, one of the terminal's sixteen by name, `#rrggbb`, a number from 0 to 255 or `default`. No \
         colour ever stands alone:\na sign or a word is always beside it.\n\n\
         | role | is |\n|---|---|\n",
        built_in.join(", ")
    );
    for role in Role::ALL {
        text.push_str(&format!("| `{}` | {} |\n", role.name(), role.about()));
    }
    text
}

fn generate(check: bool) -> io::Result<bool> {
    let root = root();
    let mut current = true;
    for (path, text) in files() {
        let path = root.join(path);
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        if check {
            say(&format!("{} is out of date; run `cargo xtask generate`", path.display()));
            current = false;
        } else {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, text)?;
            say(&format!("wrote {}", path.display()));
        }
    }
    Ok(current)
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
