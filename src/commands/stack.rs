//! `shepard stack`: what is common to its commands.
//!
//! What goes on is told on standard error, the result on standard output. Whoever stops waiting stops nothing: the
//! stack is CloudFormation's, and following it again is one command.

mod change;
mod down;
mod show;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::future::Future;
use std::path::Path;
use std::sync::Mutex;

use serde_json::Value;

use super::output::{Output, local_time};
use super::{Context, Exit};
use crate::cli::{Named, Place, StackCommand, StackValues};
use crate::operations::stack::plan::Wanted;
use crate::operations::stack::{Progress, Site};
use crate::operations::{OperationError, Result};

/// Counts between two lines that tell of one.
const TOLD: u64 = 10_000;
/// Largest file of parameters or template that is read.
const LARGEST: u64 = 1 << 20;

pub(super) async fn run(context: &Context<'_>, mut command: StackCommand) -> Result<Exit> {
    match &mut command {
        StackCommand::Up(up) => settle(&mut up.stack)?,
        StackCommand::Update(update) => settle(&mut update.stack)?,
        StackCommand::Events(events) => settle(&mut events.stack)?,
        StackCommand::Describe(named) | StackCommand::Owned(named) => settle(named)?,
        StackCommand::Down(down) => settle(&mut down.stack)?,
        StackCommand::List { .. } => {}
    }
    match command {
        StackCommand::Up(arguments) => change::up(context, &arguments).await,
        StackCommand::Update(arguments) => change::update(context, &arguments).await,
        StackCommand::Events(arguments) => show::events(context, &arguments).await,
        StackCommand::Describe(named) => show::describe(context, &named).await,
        StackCommand::Owned(named) => show::owned(context, &named).await,
        StackCommand::Down(arguments) => down::down(context, &arguments).await,
        StackCommand::List { place } => show::list(context, &place).await,
    }
}

/// A name that says where its stack is says it as the flags would.
fn settle(named: &mut Named) -> Result<()> {
    let Some((stack, profile, region)) = shepard_model::stack::parts(&named.name) else { return Ok(()) };
    let place = &named.place;
    let other = |given: &Option<String>, named: Option<&str>| {
        given.as_deref().is_some_and(|given| named.is_some_and(|named| given != named))
    };
    if other(&place.region, Some(region)) || other(&place.profile, profile) {
        return Err(OperationError::Usage(format!(
            "{} is in another place than --profile and --region say; leave them out",
            named.name
        )));
    }
    let (stack, region) = (stack.to_owned(), region.to_owned());
    if let Some(profile) = profile {
        named.place.profile = Some(profile.to_owned());
    }
    // `default` is the region that the configuration says.
    if region != "default" {
        named.place.region = Some(region);
    }
    named.name = stack;
    Ok(())
}

/// Makes the connections, and refuses an account that is not the one that was named.
async fn site(place: &Place) -> Result<Site> {
    let site = Site::connect(&place.account()).await;
    if let Some(wanted) = &place.account {
        let here = site.ports.survey.here().await?;
        if here.account != *wanted {
            return Err(OperationError::Refused(format!(
                "these credentials are of account {}, and not of {wanted}; nothing was done",
                here.account
            )));
        }
    }
    Ok(site)
}

/// What is wanted, of the arguments.
fn wanted(named: &Named, values: &StackValues, protect: bool) -> Result<Wanted> {
    let mut given = match &values.parameters {
        Some(file) => read_parameters(file)?,
        None => BTreeMap::new(),
    };
    given.extend(values.params.iter().cloned());
    let template = values.template.as_deref().map(read).transpose()?;
    Ok(Wanted { name: named.name.clone(), given, template, protect })
}

fn read(file: &Path) -> Result<String> {
    let size = fs::metadata(file).map_err(OperationError::io("read", file))?.len();
    if size > LARGEST {
        return Err(OperationError::Usage(format!("{} is larger than CloudFormation takes", file.display())));
    }
    fs::read_to_string(file).map_err(OperationError::io("read", file))
}

/// Values in the forms that CloudFormation's own tools know: a list of `ParameterKey` and `ParameterValue`, a list of
/// `NAME=VALUE`, an object with `Parameters`, or the object alone.
fn read_parameters(file: &Path) -> Result<BTreeMap<String, String>> {
    let shown = file.display();
    let bad = |why: String| OperationError::Usage(format!("{shown} holds no parameters: {why}"));
    let json: Value = serde_json::from_str(&read(file)?).map_err(|error| bad(error.to_string()))?;
    parameters_of(&json).map_err(bad)
}

fn parameters_of(json: &Value) -> Result<BTreeMap<String, String>, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        _ => None,
    };
    let pairs: Vec<(String, Option<String>)> = match json {
        Value::Array(list) => {
            let mut pairs = Vec::new();
            for one in list {
                match (one, one["ParameterKey"].as_str()) {
                    (Value::String(pair), _) => {
                        let (name, value) =
                            pair.split_once('=').ok_or_else(|| "an entry is not NAME=VALUE".to_owned())?;
                        pairs.push((name.to_owned(), Some(value.to_owned())));
                    }
                    // What keeps its value is not given.
                    (_, Some(_)) if one["UsePreviousValue"] == true => {}
                    (_, Some(name)) => pairs.push((name.to_owned(), text(&one["ParameterValue"]))),
                    _ => return Err("an entry has no ParameterKey".to_owned()),
                }
            }
            pairs
        }
        Value::Object(object) => {
            let inner = object.get("Parameters").and_then(Value::as_object).unwrap_or(object);
            inner.iter().map(|(name, value)| (name.clone(), text(value))).collect()
        }
        _ => return Err("it is neither a list nor an object".to_owned()),
    };
    let read = pairs.into_iter().map(|(name, value)| match value {
        Some(value) => Ok((name, value)),
        None => Err(format!("the value of {name} is no text")),
    });
    read.collect()
}

/// Tells on standard error what goes on.
struct Teller<'a> {
    out: &'a Output,
    /// The last count that was told, by what is counted.
    told: Mutex<HashMap<String, u64>>,
}

impl<'a> Teller<'a> {
    fn new(out: &'a Output) -> Self {
        Self { out, told: Mutex::new(HashMap::new()) }
    }

    fn tell(&self, progress: Progress) {
        match progress {
            Progress::Begins(what) => self.out.note(&format!("… {}", shown(&what))),
            Progress::Done(what) => self.out.note(&format!("✓ {}", shown(&what))),
            Progress::Trouble(what) => self.out.note(&format!("! {}", shown(&what))),
            Progress::Status(status) => self.out.note(&format!("= {}", shown(&status))),
            Progress::Counts { what, so_far } => {
                let Ok(mut told) = self.told.lock() else { return };
                let last = told.entry(what.clone()).or_insert(0);
                if so_far >= *last + TOLD {
                    *last = so_far;
                    self.out.note(&format!("… {so_far} {}", shown(&what)));
                }
            }
            Progress::Event(happened) => self.out.note(&show::event_line(&happened)),
        }
    }
}

/// Runs something that takes minutes; Ctrl-C stops the wait and says what to do then.
async fn until_stopped<T>(work: impl Future<Output = Result<T>>, then: &str) -> Result<T> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err(OperationError::Environment(then.to_owned())),
    }
}

fn follow_again(name: &str, place: &Place) -> String {
    let mut line = format!("shepard stack events {name} --follow");
    for (flag, value) in [("--profile", &place.profile), ("--region", &place.region)] {
        if let Some(value) = value {
            line.push_str(&format!(" {flag} {value}"));
        }
    }
    format!("stopped waiting; CloudFormation goes on with {name}; to follow it again: {line}")
}

/// One line, whatever is in it.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Minutes and seconds of a duration.
fn lasted(ms: i64) -> String {
    let seconds = ms / 1000;
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min {} s", seconds / 60, seconds % 60) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_may_say_where_its_stack_is() {
        let named = |name: &str, region: Option<&str>| Named {
            name: name.into(),
            place: Place { region: region.map(str::to_owned), ..Place::default() },
        };
        let mut one = named("sheep@work/eu-west-1", None);
        settle(&mut one).unwrap();
        assert_eq!((one.name.as_str(), one.place.profile.as_deref()), ("sheep", Some("work")));
        assert_eq!(one.place.region.as_deref(), Some("eu-west-1"));
        assert!(settle(&mut named("sheep@eu-west-1", Some("eu-west-2"))).is_err());
        let mut plain = named("sheep", Some("eu-west-2"));
        settle(&mut plain).unwrap();
        assert_eq!((plain.name.as_str(), plain.place.region.as_deref()), ("sheep", Some("eu-west-2")));
    }

    #[test]
    fn parameters_are_read_in_every_form_that_tools_write() {
        let wanted = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), "x=y".to_owned())]);
        for form in [
            json!([{ "ParameterKey": "A", "ParameterValue": "1" }, { "ParameterKey": "B", "ParameterValue": "x=y" },
                { "ParameterKey": "C", "UsePreviousValue": true }]),
            json!(["A=1", "B=x=y"]),
            json!({ "Parameters": { "A": 1, "B": "x=y" }, "Tags": { "T": "1" } }),
            json!({ "A": "1", "B": "x=y" }),
        ] {
            assert_eq!(parameters_of(&form), Ok(wanted.clone()), "{form}");
        }
        for form in [json!(1), json!(["A"]), json!([{}]), json!({ "A": [] })] {
            assert!(parameters_of(&form).is_err(), "{form}");
        }
    }
}
