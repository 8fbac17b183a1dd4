//! The order of a pipeline's steps.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::ProcessingStep;
use crate::pipeline::config::{ConfigError, parse};

/// Steps of a pipeline.
pub const MAX_STEPS: usize = 100;

/// Puts the steps in the order in which they run: by `step_order`, then name, but each after those that it needs.
///
/// `dependencies` is the pipeline's column of that name: `{"step": ["the steps that it needs", …]}`, or `None`.
///
/// # Errors
/// Names used twice, dependencies on steps that do not exist, dependencies that form a cycle, too many steps.
pub fn in_order(
    mut steps: Vec<ProcessingStep>,
    dependencies: Option<&Value>,
) -> Result<Vec<ProcessingStep>, ConfigError> {
    if steps.len() > MAX_STEPS {
        return Err(ConfigError::new(
            "steps",
            format!("has {}; at most {MAX_STEPS} are allowed", steps.len()),
        ));
    }
    steps.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
    let mut names = BTreeSet::new();
    if let Some(twice) = steps.iter().find(|s| !names.insert(s.name.as_str())) {
        return Err(ConfigError::new(
            "steps",
            format!("{:?} is used twice; step names must differ", twice.name),
        ));
    }
    let mut needs: BTreeMap<String, BTreeSet<String>> = match dependencies.filter(|v| !v.is_null()) {
        Some(value) => parse(value).map_err(|e| ConfigError::new(dependency_path(&e.path), e.problem))?,
        None => BTreeMap::new(),
    };
    for (step, needed) in &needs {
        if let Some(unknown) = std::iter::once(step).chain(needed).find(|name| !names.contains(name.as_str()))
        {
            let problem = format!("names {unknown:?}, which is no step of the pipeline");
            return Err(ConfigError::new(dependency_path(step), problem));
        }
    }
    let mut ordered: Vec<ProcessingStep> = Vec::with_capacity(steps.len());
    while !steps.is_empty() {
        let is_free = |s: &ProcessingStep| needs.get(&s.name).is_none_or(BTreeSet::is_empty);
        let Some(next) = steps.iter().position(is_free) else {
            let names: Vec<&str> = steps.iter().map(|s| s.name.as_str()).collect();
            let problem = format!("form a cycle among {}; remove one of them", names.join(", "));
            return Err(ConfigError::new("dependencies", problem));
        };
        let step = steps.remove(next);
        needs.values_mut().for_each(|needed| {
            needed.remove(&step.name);
        });
        ordered.push(step);
    }
    Ok(ordered)
}

fn dependency_path(key: &str) -> String {
    format!("dependencies.{key}")
}
