//! Puts the zip that `SHEPARD_EMBED_LAMBDA` names into the console; `cargo xtask dist` sets it. Without it the console
//! carries none and looks for one when it is needed.

use std::io::Write as _;
use std::path::PathBuf;
use std::{env, fs, io};

/// Names the zip.
const VARIABLE: &str = "SHEPARD_EMBED_LAMBDA";

fn main() -> io::Result<()> {
    let mut cargo = io::stdout();
    writeln!(cargo, "cargo:rerun-if-changed=build.rs\ncargo:rerun-if-env-changed={VARIABLE}")?;
    let what = match env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        None => "None".to_owned(),
        Some(zip) => {
            let zip = fs::canonicalize(PathBuf::from(zip))?;
            writeln!(cargo, "cargo:rerun-if-changed={}", zip.display())?;
            format!("Some(include_bytes!({:?}))", zip.display().to_string())
        }
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("lambda.rs");
    fs::write(
        out,
        format!("/// The zip, where there is one.\npub(super) const LAMBDA: Option<&[u8]> = {what};\n"),
    )
}
