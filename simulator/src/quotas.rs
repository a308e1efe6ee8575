//! The quotas file, read: what AWS allows, how long it takes, and where each number is from.
//!
//! A number that a model obeys is in `quotas.toml` or in the options of a run, nowhere else.

use serde::Deserialize;

/// The file, as it is in the program.
const FILE: &str = include_str!("../quotas.toml");

/// How well a number is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// AWS says so.
    Documented,
    /// AWS says nothing; the source says why this is taken.
    Assumed,
    /// Measured on a machine; the source says by what.
    Measured,
}

/// One number.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// The number.
    pub value: f64,
    /// What it counts.
    pub unit: String,
    /// How well it is known.
    pub kind: Known,
    /// The page or the reasoning.
    pub source: String,
    /// When the source was last read, year and month.
    pub date: String,
}

macro_rules! quotas {
    ($($name:ident)*) => {
        /// Every number of the file, by its name there.
        #[derive(Debug, Clone, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Quotas { $(pub(crate) $name: Quota,)* }

        impl Quotas {
            /// Each with its name, in the order of the file.
            pub fn each(&self) -> Vec<(&'static str, &Quota)> {
                vec![$((stringify!($name), &self.$name),)*]
            }

            /// Another value for one of them; false where there is none of that name.
            pub fn set(&mut self, name: &str, value: f64) -> bool {
                match name {
                    $(stringify!($name) => self.$name.value = value,)*
                    _ => return false,
                }
                true
            }
        }
    };
}

quotas! {
    s3_put s3_get s3_burst s3_get_ms s3_put_ms s3_list_ms
    notification_ms notification_sigma notification_late notification_duplicates
    sqs_in_flight sqs_batch sqs_delay_s sqs_sampled sqs_poll_s sqs_ms
    lambda_pollers lambda_growth lambda_concurrency lambda_mib_a_vcpu lambda_cold_ms lambda_warm_ms
    lambda_call_cpu_us
    dynamodb_writes dynamodb_reads dynamodb_partition_writes dynamodb_partition_reads dynamodb_burst
    dynamodb_page dynamodb_ms
    batch_submit batch_other batch_burst batch_children batch_submitted batch_described batch_payload
    batch_visible_ms batch_ms
    latency_sigma client_attempts client_backoff_ms
}

impl Quotas {
    /// The numbers that are built in.
    ///
    /// # Errors
    /// The file is broken: a fault of the build, which a test finds.
    pub fn built_in() -> Result<Self, toml::de::Error> {
        toml::from_str(FILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_says_what_it_is_and_where_it_is_from() {
        let quotas = Quotas::built_in().unwrap();
        for (name, quota) in quotas.each() {
            assert!(quota.value > 0.0, "{name}");
            assert!(!quota.unit.is_empty() && quota.source.len() > 5, "{name}");
            let (year, month) = quota.date.split_once('-').unwrap();
            assert!(
                year.parse::<u16>().unwrap() >= 2026 && (1..=12).contains(&month.parse().unwrap()),
                "{name}"
            );
        }
    }
}
