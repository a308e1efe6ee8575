//! What a flock costs in a month in which it does nothing: an estimate, from list prices of one region.
//!
//! What is paid by use is not in it: instances while jobs run, requests, what is stored.

use super::Values;

/// Hours of a month, as AWS counts them.
const HOURS: f64 = 730.0;

/// A list price in us-east-1, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Of what.
    pub what: &'static str,
    /// Dollars for one unit and month.
    pub monthly: f64,
    /// The unit.
    pub unit: &'static str,
    /// Where the price is from.
    pub source: &'static str,
    /// When that was looked up; these were written down from memory and have to be checked where it matters.
    pub date: &'static str,
}

const fn price(what: &'static str, monthly: f64, unit: &'static str, source: &'static str) -> Price {
    Price { what, monthly, unit, source, date: "from memory" }
}

/// The prices that are reckoned with.
pub const PRICES: [Price; 9] = [
    price("NAT gateway", 0.045 * HOURS, "gateway", "Amazon VPC pricing: $0.045 an hour"),
    price("public address", 0.005 * HOURS, "address", "Amazon VPC pricing: $0.005 an hour"),
    price("interface endpoint", 0.01 * HOURS, "endpoint and zone", "AWS PrivateLink pricing: $0.01 an hour"),
    price("EFS provisioned throughput", 6.0, "MiB/s", "Amazon EFS pricing: $6.00 a month"),
    price("Lustre scratch storage", 0.14, "GiB", "Amazon FSx for Lustre pricing: $0.14 a month"),
    price("secret", 0.40, "secret", "AWS Secrets Manager pricing: $0.40 a month"),
    price("alarm", 0.10, "alarm", "Amazon CloudWatch pricing: $0.10 a month"),
    price("vCPU that is kept", 0.048 * HOURS, "vCPU", "Amazon EC2 pricing: m5.large, $0.096 an hour for 2"),
    price("reconciler", 0.05, "function", "AWS Lambda pricing: 2,920 runs of a second with 1 GB"),
];

/// Interface endpoints of the template, each in two zones.
const ENDPOINTS: f64 = 7.0 * 2.0;
/// Alarms of the template.
const ALARMS: f64 = 2.0;

/// One thing that costs something.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What, with how much of it: `2 NAT gateways`.
    pub what: String,
    /// Dollars a month.
    pub monthly: f64,
    /// Name of the parameter that decides on it, where there is one.
    pub decided_by: Option<&'static str>,
}

/// What is said beside the lines.
pub const NOTE: &str = "an estimate for a month without jobs, at list prices of us-east-1 as we remember them; what is stored and what jobs use comes on top";

/// What costs something, the dearest first. Empty values count as none.
pub fn idle(values: &Values) -> Vec<Line> {
    let get = |name: &str| values.get(name).map_or("", String::as_str);
    let on = |name: &str| get(name) == "True";
    let number =
        |name: &str| get(name).parse::<f64>().ok().filter(|number| number.is_finite()).unwrap_or(0.0);
    let mut lines = Vec::new();
    let mut add = |price: &str, count: f64, what: String, decided_by| {
        let found = PRICES.iter().find(|known| known.what == price);
        if let Some(price) = found.filter(|_| count > 0.0) {
            lines.push(Line { what, monthly: price.monthly * count, decided_by });
        }
    };
    let nats = number("NatGateways");
    let many = |count: f64| if count == 1.0 { "" } else { "s" };
    add("NAT gateway", nats, format!("{nats} NAT gateway{}", many(nats)), Some("NatGateways"));
    add(
        "public address",
        nats,
        format!("{nats} address{} of them", if nats == 1.0 { "" } else { "es" }),
        Some("NatGateways"),
    );
    if on("ToggleInterfaceEndpoints") {
        add(
            "interface endpoint",
            ENDPOINTS,
            "7 interface endpoints in 2 zones".into(),
            Some("ToggleInterfaceEndpoints"),
        );
    }
    if on("ToggleEFS") && get("EFSMode") != "elastic" {
        let speed = number("EFSThroughput");
        add(
            "EFS provisioned throughput",
            speed,
            format!("EFS, {speed} MiB/s kept ready"),
            Some("EFSThroughput"),
        );
    }
    if on("ToggleLustre") {
        let size = number("LustreStorageCapacity");
        add("Lustre scratch storage", size, format!("Lustre, {size} GiB"), Some("LustreStorageCapacity"));
    }
    let kept = number("MinCPU");
    add(
        "vCPU that is kept",
        kept,
        format!("{kept} vCPU{} that run all the time", many(kept)),
        Some("MinCPU"),
    );
    add("secret", 1.0, "the secret".into(), None);
    add("alarm", ALARMS, "2 alarms".into(), None);
    add("reconciler", 1.0, "the reconciler, every 15 minutes".into(), None);
    lines.sort_by(|a, b| b.monthly.total_cmp(&a.monthly));
    lines
}

/// The sum of the lines, in dollars.
pub fn total(lines: &[Line]) -> f64 {
    lines.iter().map(|line| line.monthly).sum()
}

#[cfg(test)]
mod tests {
    use super::super::template;
    use super::super::values::{Place, for_new};
    use super::*;

    #[test]
    fn the_originals_defaults_cost_hundreds_and_a_new_flock_next_to_nothing() {
        let old = idle(&template().defaults());
        assert_eq!(old[0].what, "EFS, 50 MiB/s kept ready");
        assert_eq!(old[0].monthly.round(), 300.0);
        assert_eq!(old[0].decided_by, Some("EFSThroughput"));
        assert_eq!(total(&old).round(), 542.0, "{old:?}");
        let place = Place { word: "w".into(), account: "123456789012".into(), region: "us-east-1".into() };
        let new = idle(&for_new(&place));
        assert!(total(&new) < 1.0, "{new:?}");
    }

    #[test]
    fn what_is_no_number_costs_nothing_here() {
        let mut values = template().defaults();
        for value in values.values_mut() {
            *value = "NaN".into();
        }
        assert!(total(&idle(&values)) < 1.0);
        assert!(total(&idle(&Values::new())) < 1.0);
    }

    #[test]
    fn the_template_has_as_many_alarms_and_endpoints_as_are_reckoned_with() {
        let count = |kind: &str, condition: Option<&str>| {
            let same = |resource: &&super::super::Resource| {
                resource.kind == kind && resource.condition.as_deref() == condition
            };
            template().resources.iter().filter(same).count()
        };
        assert_eq!(count("AWS::CloudWatch::Alarm", None) as f64, ALARMS);
        assert_eq!(2.0 * count("AWS::EC2::VPCEndpoint", Some("WantsInterfaceEndpoints")) as f64, ENDPOINTS);
    }
}
