//! What a new flock would be, or one that is there after an update: values, what is wrong with them, what it costs.
//!
//! The account is asked for what the checks need, each thing by itself: what may not be asked is said to be unchecked,
//! and the rest is checked all the same. Nothing is changed.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use shepard_cloud::stacks::Stack;
use shepard_cloud::survey::{BucketName, Here};
use shepard_cloud::{CloudError, Kind};

use super::policies::names_in;
use super::{Site, is_well};
use crate::operations::error::{OperationError, Result};
use crate::template::check::{Around, InstanceType, Vpc, Weight as Weighs, check};
use crate::template::values::{Place, for_new, for_update, word_problem};
use crate::template::{TEXT, Values, cost, template};

/// A flock that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wanted {
    /// Name of the stack; of a new one also the word that its names are made from.
    pub name: String,
    /// Values that were given. All others are derived, or stay as they are.
    pub given: BTreeMap<String, String>,
    /// Text of another template than the one that this program carries.
    pub template: Option<String>,
    /// Protect a new stack against removal.
    pub protect: bool,
}

impl Wanted {
    /// The template's text.
    pub fn text(&self) -> &str {
        self.template.as_deref().unwrap_or(TEXT)
    }
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// It was looked at and is as it should be.
    Good,
    /// It could not be looked at.
    NotChecked,
    /// It works, and is perhaps not what was meant.
    Odd,
    /// AWS will refuse it, the flock will not work, or something would be lost.
    Wrong,
}

/// One thing that is said of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How much it weighs.
    pub weight: Weight,
    /// What it is about: a parameter, a resource, or a word.
    pub about: String,
    /// A sentence without a full stop.
    pub said: String,
}

impl Finding {
    /// A finding.
    pub fn new(weight: Weight, about: impl Into<String>, said: impl Into<String>) -> Self {
        Self { weight, about: about.into(), said: said.into() }
    }
}

/// One thing that costs something while the flock does nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// What, with how much of it.
    pub what: String,
    /// Dollars a month.
    pub monthly: f64,
    /// The parameter that decides on it.
    pub decided_by: Option<String>,
}

/// What a flock would be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Name of the stack.
    pub name: String,
    /// Account and region.
    pub here: Here,
    /// The stack that is there, which would be changed.
    pub stack: Option<Stack>,
    /// Every parameter's value.
    pub values: BTreeMap<String, String>,
    /// What is said of them, worst first.
    pub findings: Vec<Finding>,
    /// What it costs while it does nothing.
    pub cost: Vec<Cost>,
    /// Dollars a month, all together.
    pub monthly: f64,
}

impl Plan {
    /// Nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.weight != Weight::Wrong)
    }

    /// What is wrong, on one line.
    pub fn problems(&self) -> String {
        let wrong = self.findings.iter().filter(|finding| finding.weight == Weight::Wrong);
        wrong.map(|finding| format!("{}: {}", finding.about, finding.said)).collect::<Vec<_>>().join("; ")
    }
}

/// The values of a new flock of this name, before anything is given: what a form begins with.
///
/// # Errors
/// The name is none that names can be made from.
pub fn values(name: &str, here: &Here) -> Result<Values> {
    if let Some(problem) = word_problem(name) {
        return Err(OperationError::Usage(format!("{problem}: `{name}`")));
    }
    let place = Place { word: name.into(), account: here.account.clone(), region: here.region.clone() };
    Ok(for_new(&place))
}

/// Plans a new flock.
///
/// # Errors
/// The name will not do; the account cannot be asked who it is.
pub async fn plan(site: &Site, wanted: &Wanted) -> Result<Plan> {
    let here = site.ports.survey.here().await?;
    let mut all = values(&wanted.name, &here)?;
    let declared = names_in(wanted.text(), "Parameters");
    all.extend(wanted.given.clone());
    let there = site.ports.stacks.describe(&wanted.name).await;
    let mut findings = judge(site, &all, false, &mut taken(site, &all).await).await;
    match there {
        Ok(Some(stack)) => findings.push(Finding::new(Weight::Wrong, "name", name_is_taken(&stack))),
        Ok(None) => {}
        Err(error) => findings.push(unchecked("name", &error)),
    }
    all.retain(|name, _| declared.contains(name) || wanted.given.contains_key(name));
    Ok(finish(wanted, here, None, all, findings))
}

/// Plans a change of a flock that is there.
///
/// # Errors
/// `NotFound`; the account cannot be asked.
pub async fn plan_update(site: &Site, wanted: &Wanted) -> Result<Plan> {
    let here = site.ports.survey.here().await?;
    let stack = site.stack(&wanted.name).await?;
    let mut all = for_update(&stack.parameters);
    all.extend(wanted.given.clone());
    let mut findings = judge(site, &all, true, &mut Vec::new()).await;
    if stack.status == "ROLLBACK_COMPLETE" || !super::is_end(&stack.status) {
        let said = format!("the stack is {}, and cannot be changed", stack.status);
        findings.push(Finding::new(Weight::Wrong, "stack", said));
    } else if !is_well(&stack.status) {
        let said = format!("the stack is {}: its last change failed", stack.status);
        findings.push(Finding::new(Weight::Odd, "stack", said));
    }
    Ok(finish(wanted, here, Some(stack), all, findings))
}

fn finish(
    wanted: &Wanted,
    here: Here,
    stack: Option<Stack>,
    values: Values,
    mut findings: Vec<Finding>,
) -> Plan {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.weight));
    let lines = cost::idle(&values);
    let monthly = cost::total(&lines);
    let cost = lines.into_iter().map(|line| Cost {
        what: line.what,
        monthly: line.monthly,
        decided_by: line.decided_by.map(str::to_owned),
    });
    Plan { name: wanted.name.clone(), here, stack, values, findings, cost: cost.collect(), monthly }
}

fn name_is_taken(stack: &Stack) -> String {
    let (name, status) = (&stack.name, &stack.status);
    match status.as_str() {
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" => format!(
            "a stack {name} is there whose creation failed ({status}); `shepard stack down {name}` removes it"
        ),
        _ => format!("a stack {name} is there already ({status}); `shepard stack update {name}` changes it"),
    }
}

fn unchecked(about: &str, error: &CloudError) -> Finding {
    Finding::new(Weight::NotChecked, about, format!("not checked: {error}"))
}

/// What the values alone and the account say.
async fn judge(site: &Site, values: &Values, updating: bool, findings: &mut Vec<Finding>) -> Vec<Finding> {
    let survey = site.ports.survey.as_ref();
    let kinds: Vec<String> = values
        .get("InstanceTypes")
        .map(|list| list.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect())
        .unwrap_or_default();
    let (pairs, networks, types, queues, environments) = tokio::join!(
        survey.key_pairs(),
        survey.networks(),
        survey.instance_types(&kinds),
        survey.job_queues(),
        survey.compute_environments(),
    );
    let mut around = Around { updating, ..Around::default() };
    let mut note = |about: &str, error: &CloudError| findings.push(unchecked(about, error));
    match pairs {
        Ok(pairs) => around.key_pairs = Some(pairs),
        Err(error) => note("key pair", &error),
    }
    match networks {
        Ok(networks) => {
            around.vpcs = networks
                .iter()
                .flat_map(|one| one.cidrs.iter().map(|cidr| Vpc { id: one.id.clone(), cidr: cidr.clone() }))
                .collect();
        }
        Err(error) => note("addresses", &error),
    }
    match types {
        Ok(types) => {
            around.instance_types = types
                .into_iter()
                .map(|one| InstanceType { name: one.name, vcpus: one.vcpus, memory_mib: one.memory_mib })
                .collect();
        }
        Err(error) => note("instance types", &error),
    }
    let number = |count: usize| u32::try_from(count).ok();
    match queues {
        Ok(count) => around.queues = number(count),
        Err(error) => note("job queues", &error),
    }
    match environments {
        Ok(count) => around.environments = number(count),
        Err(error) => note("compute environments", &error),
    }
    findings.extend(check(values, &around).into_iter().filter(|one| !is_filled_in(&one.about)).map(|one| {
        let weight = match one.weight {
            Weighs::Good => Weight::Good,
            Weighs::Odd => Weight::Odd,
            Weighs::Wrong => Weight::Wrong,
        };
        Finding { weight, about: one.about, said: one.said }
    }));
    std::mem::take(findings)
}

/// Parameters that are filled in when the stack is made.
pub fn is_filled_in(name: &str) -> bool {
    matches!(name, "LambdaCodeBucket" | "LambdaCodeKey")
}

/// Names that a new stack would make and that are taken.
async fn taken(site: &Site, values: &Values) -> Vec<Finding> {
    let value = |name: &str| values.get(name).map(String::as_str).unwrap_or_default();
    let lustre = value("ToggleLustre") == "True" && value("ToggleUseExistingBucketForLustre") != "True";
    let names = ["InputsBucket", "OutputsBucket", "QuickDeployBucket", "ErrorsBucket", "LustreBucketName"];
    let names = names.into_iter().filter(|name| !value(name).is_empty());
    let names = names.filter(|name| *name != "LustreBucketName" || lustre);
    let asked = names.map(|parameter| async move {
        let name = value(parameter);
        match site.ports.survey.bucket(name).await {
            Ok(BucketName::Free) => None,
            Ok(BucketName::Ours) => Some(Finding::new(
                Weight::Wrong,
                parameter,
                format!("a bucket `{name}` is there already; perhaps an earlier flock's, which kept it"),
            )),
            Ok(BucketName::Taken) => Some(Finding::new(
                Weight::Wrong,
                parameter,
                format!("the name `{name}` belongs to somebody's bucket, and is the only one of its kind in the world"),
            )),
            Err(error) => Some(unchecked(parameter, &error)),
        }
    });
    let mut found: Vec<Finding> = join_all(asked).await.into_iter().flatten().collect();
    let table = value("TableName");
    match site.ports.holdings.rows(table).await {
        Ok(_) => found.push(Finding::new(
            Weight::Wrong,
            "TableName",
            format!("a table `{table}` is there already; perhaps an earlier flock's, which kept it"),
        )),
        Err(error) if error.kind == Kind::NotFound => {}
        Err(error) => found.push(unchecked("TableName", &error)),
    }
    found
}

/// The parameters that a person gave and the template does not have.
pub(super) fn unknown(wanted: &Wanted, text: &str) -> Option<String> {
    let declared = names_in(text, "Parameters");
    let unknown = wanted.given.keys().find(|name| !declared.contains(*name))?;
    let close = template().parameters().map(|one| &one.name).find(|name| name.eq_ignore_ascii_case(unknown));
    Some(match close {
        Some(close) => format!("the template has no parameter `{unknown}`; did you mean {close}?"),
        None => {
            format!("the template has no parameter `{unknown}`; `shepard template parameters` lists them")
        }
    })
}
