//! `cargo xtask campaign`: the checks that take minutes or hours at full length, of which CI runs a slice.
//!
//! Each is a row of [`CAMPAIGNS`]: a test that CI runs as well, with the length that its environment sets.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::command::{cargo, succeed};

#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Which campaigns to run; none to list them
    names: Vec<String>,
}

/// One campaign.
struct Campaign {
    name: &'static str,
    what: &'static str,
    arguments: &'static [&'static str],
    /// Set for the run, unless the caller has set it.
    environment: &'static [(&'static str, &'static str)],
}

static CAMPAIGNS: [Campaign; 4] = [
    LIVE,
    test(
        "crash",
        "crash states of random workloads, ten times as many as in CI",
        &["test", "--release", "--test", "crash", "--", "--nocapture"],
        &[("SEGWAL_CRASH_TIMES", "10")],
    ),
    test(
        "sweep",
        "each operation of each scenario goes wrong in each way, with eight power cuts after each",
        &["test", "--release", "--test", "sweep", "--", "--nocapture"],
        &[("SEGWAL_CAMPAIGN", "full")],
    ),
    test(
        "hostile",
        "every bit, length, sector and file of five logs damaged, and what carries correct checksums forged",
        &[
            "test",
            "--release",
            "--test",
            "hostile",
            "--",
            "--nocapture",
        ],
        &[("SEGWAL_CAMPAIGN", "full")],
    ),
];

const LIVE: Campaign = Campaign {
    name: "live",
    what: "readers in processes of their own beside a writer that rotates, recycles and is killed, for a minute",
    arguments: &[
        "test",
        "--release",
        "--test",
        "it",
        "--",
        "--exact",
        "live::readers_beside_a_writer_that_is_killed_see_only_what_it_attempted",
        "--nocapture",
    ],
    environment: &[("SEGWAL_LIVE_SECONDS", "60")],
};

const fn test(
    name: &'static str,
    what: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
) -> Campaign {
    Campaign {
        name,
        what,
        arguments,
        environment,
    }
}

/// Runs the named campaigns, one after the other.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.names.is_empty() {
        for Campaign { name, what, .. } in &CAMPAIGNS {
            println!("{name:<10} {what}");
        }
        return Ok(());
    }
    for campaign in chosen(&options.names)? {
        println!("=== {}", campaign.name);
        let started = Instant::now();
        succeed(cargo(campaign.arguments).envs(length(campaign)))?;
        println!(
            "campaign {}: {:.1} s",
            campaign.name,
            started.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Campaign>> {
    let find = |name: &String| {
        let found = CAMPAIGNS.iter().find(|campaign| campaign.name == *name);
        found.ok_or_else(|| name.clone())
    };
    let found: Result<Vec<_>, String> = names.iter().map(find).collect();
    found.or_else(|unknown| {
        let known: Vec<&str> = CAMPAIGNS.iter().map(|campaign| campaign.name).collect();
        bail!(
            "there is no campaign {unknown}; the campaigns are {}",
            known.join(", ")
        )
    })
}

/// What of the campaign's environment the caller left open.
fn length(campaign: &Campaign) -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = campaign.environment.iter().copied();
    rows.filter(|(name, _)| std::env::var_os(name).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_campaign_is_refused() {
        let Err(error) = chosen(&["lives".to_owned()]) else {
            panic!("it was found")
        };
        assert!(error.to_string().contains("live"), "{error}");
        assert_eq!(chosen(&["live".to_owned()]).unwrap().len(), 1);
    }
}
