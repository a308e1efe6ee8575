//! What can be said of a deploy before anything is built: whether the folder can be, how much of it would be sent, whether
//! the engine has the image, whether there is an engine at all.
//!
//! It only looks. What it finds may be otherwise a moment later; a deploy checks again by itself.

use std::path::Path;
use std::time::Duration;

use shepard_engine::context::{Context, Measure};
use shepard_engine::{Engine, EngineError, Host};

/// How long an engine may take to answer before it is said that it does not.
const PATIENCE: Duration = Duration::from_secs(8);
/// Files of a context that are counted; a person need not know whether it is more than that by a little or by a lot.
const COUNTED: u64 = 200_000;
/// Bytes of a context from which on it is said that most of them are likely not wanted.
const HEAVY: u64 = 1 << 30;

/// How a finding is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// As it should be.
    Good,
    /// Odd, and no reason to stop.
    Odd,
    /// It cannot be deployed like this.
    Wrong,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it is meant.
    pub weight: Weight,
    /// What it is about, in a word: `engine`.
    pub about: &'static str,
    /// What.
    pub said: Said,
}

/// What a finding says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A few words or a sentence, on one line. It may hold foreign text.
    Words(String),
    /// What would be sent to the engine.
    Sends(Measure),
}

fn finding(weight: Weight, about: &'static str, said: impl Into<String>) -> Finding {
    Finding { weight, about, said: Said::Words(said.into()) }
}

/// What there is to say of a folder that is to be built.
pub async fn of_folder(folder: &Path) -> Vec<Finding> {
    let path = folder.to_owned();
    let looked = tokio::task::spawn_blocking(move || look(&path));
    let (looked, engine) = tokio::join!(looked, engine());
    let mut found = looked.unwrap_or_else(|error| vec![finding(Weight::Wrong, "folder", error.to_string())]);
    found.push(of_engine(&engine));
    found
}

/// What there is to say of an image that exists.
pub async fn of_image(name: &str) -> Vec<Finding> {
    let engine = engine().await;
    let of_engine = of_engine(&engine);
    let Ok((engine, host)) = engine else { return vec![of_engine] };
    let there = tokio::time::timeout(PATIENCE, engine.image(name)).await;
    let image = match there {
        Ok(Ok(Some(image))) if image.architecture == host.architecture || image.architecture.is_empty() => {
            let short: String = image.id.trim_start_matches("sha256:").chars().take(12).collect();
            finding(Weight::Good, "image", format!("sha256:{short}, {}/{}", image.os, image.architecture))
        }
        Ok(Ok(Some(image))) => {
            let said = format!(
                "it is for {}/{}, and this engine is {}/{}",
                image.os, image.architecture, host.os, host.architecture
            );
            finding(Weight::Odd, "image", said)
        }
        Ok(Ok(None)) => finding(Weight::Odd, "image", "this engine does not have it"),
        Ok(Err(error)) => finding(Weight::Wrong, "image", error.to_string()),
        Err(_) => finding(Weight::Wrong, "image", "the engine takes too long to say whether it has it"),
    };
    vec![image, of_engine]
}

async fn engine() -> Result<(Engine, Host), String> {
    let asked = async {
        let engine = Engine::connect(None).await?;
        let host = engine.host().await?;
        Ok::<_, EngineError>((engine, host))
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the Docker engine does not answer within {} seconds", PATIENCE.as_secs())),
    }
}

fn of_engine(engine: &Result<(Engine, Host), String>) -> Finding {
    match engine {
        Ok((engine, host)) => {
            let said = format!(
                "Docker {}, {}/{}, at {}",
                host.version,
                host.os,
                host.architecture,
                engine.address()
            );
            finding(Weight::Good, "engine", said)
        }
        Err(said) => finding(Weight::Wrong, "engine", said.clone()),
    }
}

fn look(folder: &Path) -> Vec<Finding> {
    let context = match Context::of(folder) {
        Ok(context) => context,
        Err(error) => return vec![finding(Weight::Wrong, "folder", error.to_string())],
    };
    let ignores = folder.join(".dockerignore").exists();
    let mut found = vec![
        finding(Weight::Good, "build", context.dockerfile()),
        if ignores {
            finding(Weight::Good, "leaves out", "what .dockerignore says")
        } else {
            finding(Weight::Good, "leaves out", "nothing: there is no .dockerignore")
        },
    ];
    found.push(match context.measure(COUNTED) {
        Err(error) => finding(Weight::Wrong, "sends", error.to_string()),
        Ok(measure) => {
            let heavy = measure.bytes >= HEAVY || !measure.complete;
            let weight = if heavy { Weight::Odd } else { Weight::Good };
            Finding { weight, about: "sends", said: Said::Sends(measure) }
        }
    });
    found
}
