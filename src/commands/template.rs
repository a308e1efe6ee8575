//! `shepard template`: the stack's template for people who make a stack by hand, and its parameters.

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::Exit;
use super::output::{Output, columns};
use crate::cli;
use crate::operations::{OperationError, Result};
use crate::template::{TEXT, code, template};

/// What was written, for scripts.
#[derive(Serialize)]
struct Written {
    template: Option<String>,
    code: Option<String>,
    bucket: Option<String>,
    key: Option<String>,
    sha256: Option<String>,
}

/// A parameter, for scripts.
#[derive(Serialize)]
struct Parameter<'a> {
    group: &'a str,
    name: &'a str,
    r#type: &'a str,
    default: &'a str,
    allowed: &'a [String],
    pattern: Option<&'a str>,
    help: &'a str,
}

pub(super) fn run(out: &Output, arguments: &cli::Template) -> Result<Exit> {
    if let Some(cli::TemplatePart::Parameters) = arguments.what {
        return parameters(out);
    }
    // Needed where it is to be written, and for the key that nobody named.
    let needed = arguments.code.is_some() || (arguments.bucket.is_some() && arguments.key.is_none());
    let found = if needed { Some(code::find()?) } else { None };
    let key = arguments.key.clone().or_else(|| found.as_ref().map(code::LambdaCode::key));
    let text = match (&arguments.bucket, &key) {
        (Some(bucket), Some(key)) => code::filled_in(bucket, key),
        _ => TEXT.to_owned(),
    };
    if let (Some(file), Some(found)) = (&arguments.code, &found) {
        write(file, &found.bytes)?;
    }
    if let Some(file) = &arguments.to {
        write(file, text.as_bytes())?;
    }
    if out.is_json() {
        let path = |file: &Option<std::path::PathBuf>| file.as_ref().map(|file| file.display().to_string());
        out.json(&Written {
            template: path(&arguments.to),
            code: path(&arguments.code),
            bucket: arguments.bucket.clone(),
            key: key.filter(|_| arguments.bucket.is_some()),
            sha256: found.map(|found| found.sha256),
        })?;
        return Ok(Exit::Ok);
    }
    match &arguments.to {
        Some(file) => out.note(&format!("wrote {}", file.display())),
        None => out.write(|out| out.write_all(text.as_bytes()))?,
    }
    if let Some(file) = &arguments.code {
        out.note(&format!("wrote {}", file.display()));
    }
    match (&arguments.bucket, &key) {
        (Some(bucket), Some(key)) => {
            let file = arguments.code.as_deref().map_or("the zip".into(), |file| file.display().to_string());
            out.note(&format!("before a stack is made, {file} has to lie at s3://{bucket}/{key}"));
        }
        _ => out.note("LambdaCodeBucket and LambdaCodeKey are not filled in: --bucket NAME does that"),
    }
    Ok(Exit::Ok)
}

fn parameters(out: &Output) -> Result<Exit> {
    if out.is_json() {
        let all = template().groups.iter().flat_map(|group| {
            group.parameters.iter().map(|found| Parameter {
                group: &group.label,
                name: &found.name,
                r#type: &found.aws_type,
                default: &found.default,
                allowed: &found.allowed,
                pattern: found.pattern.as_deref(),
                help: &found.help,
            })
        });
        out.json(&all.collect::<Vec<_>>())?;
        return Ok(Exit::Ok);
    }
    for (at, group) in template().groups.iter().enumerate() {
        if at > 0 {
            out.line("")?;
        }
        out.line(&group.label)?;
        let rows: Vec<Vec<String>> = group
            .parameters
            .iter()
            .map(|found| vec![format!("  {}", found.name), found.default.clone(), found.help.clone()])
            .collect();
        for line in columns(&rows) {
            out.line(&line)?;
        }
    }
    Ok(Exit::Ok)
}

/// Writes a file beside its place and moves it there.
fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = || OperationError::io("write", file);
    let mut made = tempfile::NamedTempFile::new_in(dir).map_err(failed())?;
    std::io::Write::write_all(&mut made, bytes).map_err(failed())?;
    // A temporary file is its maker's alone; this one is for others to read, as any file is.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(made.path(), mode).map_err(failed())?;
    made.persist(file).map_err(|error| failed()(error.error))?;
    Ok(())
}
