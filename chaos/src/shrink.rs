//! A smaller plan that fails in the same way.
//!
//! Things are taken out, and what still fails goes on. Lists are shrunk by Zeller's and Hildebrandt's ddmin (Simplifying
//! and Isolating Failure-Inducing Input, IEEE TSE 2002), numbers by bisection. What depends on randomness does not
//! move when something is taken out, since each purpose has a generator of its own; so the plans stay comparable.
//!
//! Invariants: every plan that is gone on with was seen to fail; if whether a plan fails follows from the plan, no single
//! episode and no single deed can be taken out of the result without losing the failure.

use crate::plan::Plan;

/// Seconds below which a run is not made shorter.
const SECONDS_MIN: u64 = 10;
/// Two durations that differ by less are as good as one.
const SECONDS_STEP: u64 = 5;

/// The smallest plan that is found by taking things out of one that fails: episodes, deeds, clients, time; again and
/// again until nothing more can go. No plan is asked about twice.
///
/// # Errors
/// What `fails` says when it cannot tell.
pub fn shrink<E>(plan: Plan, fails: &mut dyn FnMut(&Plan) -> Result<bool, E>) -> Result<Plan, E> {
    let mut plan = plan;
    let mut known: Vec<(Plan, bool)> = Vec::new();
    let mut fails = |plan: &Plan| match known.iter().find(|(known, _)| known == plan) {
        Some((_, it_fails)) => Ok(*it_fails),
        None => {
            let it_fails = fails(plan)?;
            known.push((plan.clone(), it_fails));
            Ok(it_fails)
        }
    };
    loop {
        let before = plan.clone();
        plan.episodes = ddmin(plan.episodes.clone(), &mut |episodes| {
            fails(&Plan { episodes: episodes.to_vec(), ..plan.clone() })
        })?;
        plan.load.mix = ddmin(plan.load.mix.clone(), &mut |mix| {
            let mut smaller = plan.clone();
            smaller.load.mix = mix.to_vec();
            // Clients that have nothing to do would not be clients.
            if mix.is_empty() { Ok(false) } else { fails(&smaller) }
        })?;
        plan.load.clients = lower(plan.load.clients.into(), 1, 1, &mut |clients| {
            let mut smaller = plan.clone();
            smaller.load.clients = clients as u32;
            fails(&smaller)
        })? as u32;
        plan.seconds = lower(plan.seconds, SECONDS_MIN, SECONDS_STEP, &mut |seconds| {
            fails(&Plan { seconds, ..plan.clone() })
        })?;
        if plan == before {
            return Ok(plan);
        }
    }
}

/// Takes items out of a list that fails until none of them can be taken out alone.
///
/// # Errors
/// What `fails` says when it cannot tell.
pub fn ddmin<T: Clone, E>(
    items: Vec<T>,
    fails: &mut dyn FnMut(&[T]) -> Result<bool, E>,
) -> Result<Vec<T>, E> {
    if items.is_empty() || fails(&[])? {
        return Ok(Vec::new());
    }
    let (mut items, mut parts) = (items, 2);
    while items.len() > 1 {
        parts = parts.min(items.len());
        match smaller(&items, parts, fails)? {
            Some((found, parts_then)) => (items, parts) = (found, parts_then),
            None if parts == items.len() => break,
            None => parts *= 2,
        }
    }
    Ok(items)
}

/// One of so many parts of a list, or the list without one of them, that fails, and into how many parts to cut it next.
fn smaller<T: Clone, E>(
    items: &[T],
    parts: usize,
    fails: &mut dyn FnMut(&[T]) -> Result<bool, E>,
) -> Result<Option<(Vec<T>, usize)>, E> {
    let bounds = |part: usize| (part * items.len() / parts, (part + 1) * items.len() / parts);
    for part in 0..parts {
        let (begin, end) = bounds(part);
        if fails(&items[begin..end])? {
            return Ok(Some((items[begin..end].to_vec(), 2)));
        }
    }
    // The rest of one half is the other half.
    for part in (0..parts).filter(|_| parts > 2) {
        let (begin, end) = bounds(part);
        let rest = [&items[..begin], &items[end..]].concat();
        if fails(&rest)? {
            return Ok(Some((rest, parts - 1)));
        }
    }
    Ok(None)
}

/// A number below one that fails, not below `least`, that fails. The smallest but for `step`, if all between it and the
/// first fail.
fn lower<E>(
    failing: u64,
    least: u64,
    step: u64,
    fails: &mut dyn FnMut(u64) -> Result<bool, E>,
) -> Result<u64, E> {
    if failing <= least {
        return Ok(failing);
    }
    if fails(least)? {
        return Ok(least);
    }
    let (mut passing, mut failing) = (least, failing);
    while failing - passing > step {
        let middle = passing + (failing - passing) / 2;
        *if fails(middle)? { &mut failing } else { &mut passing } = middle;
    }
    Ok(failing)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::plan::Deed;

    /// Shrinks, and counts how often it was asked.
    fn shrunk(count: u32, fails: impl Fn(&[u32]) -> bool) -> (Vec<u32>, usize) {
        let mut asked = 0;
        let kept = ddmin::<_, Infallible>((0..count).collect(), &mut |items| {
            asked += 1;
            Ok(fails(items))
        });
        (kept.unwrap(), asked)
    }

    proptest! {
        #[test]
        fn what_is_needed_is_all_that_stays(count in 1u32..60, needed in prop::collection::btree_set(0u32..60, 0..6)) {
            let needed: BTreeSet<u32> = needed.into_iter().filter(|item| *item < count).collect();
            let (kept, asked) = shrunk(count, |items| needed.iter().all(|item| items.contains(item)));
            prop_assert_eq!(kept, needed.into_iter().collect::<Vec<_>>());
            let count = count as usize;
            prop_assert!(asked <= count * count + 3 * count + 1, "asked {} times about {} items", asked, count);
        }

        #[test]
        fn whatever_the_rule_is_the_rest_fails_and_nothing_in_it_can_go_alone(
            count in 1u32..24,
            rule: u64,
        ) {
            // Any rule that all items together fail by: whether a list fails is drawn from its content.
            let fails = |items: &[u32]| {
                let mixed = items.iter().fold(rule, |mixed, item| (mixed ^ u64::from(*item)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                items.len() == count as usize || (mixed >> 40).is_multiple_of(5)
            };
            let (kept, _) = shrunk(count, fails);
            prop_assert!(fails(&kept));
            for gone in 0..kept.len() {
                let rest: Vec<u32> = [&kept[..gone], &kept[gone + 1..]].concat();
                prop_assert!(!fails(&rest), "{:?} still fails without {}", kept, kept[gone]);
            }
        }

        #[test]
        fn the_order_of_items_is_kept(count in 1u32..40, rule: u64) {
            let (kept, _) = shrunk(count, |items| {
                items.iter().map(|item| rule.rotate_left(*item) & 1).sum::<u64>() >= 2 || items.len() == count as usize
            });
            prop_assert!(kept.is_sorted());
        }

        #[test]
        fn a_number_goes_down_to_the_first_that_fails(first in 1u64..1000, above in 0u64..1000, step in 1u64..20) {
            let found = lower::<Infallible>(first + above, 1, step, &mut |number| Ok(number >= first)).unwrap();
            prop_assert!(found >= first && found < first + step, "{} instead of {}", found, first);
        }

        #[test]
        fn a_plan_keeps_only_what_its_failure_needs(seed: u64, wanted: prop::sample::Index, clients in 1u32..3) {
            let plan = Plan::swarm(seed, 600);
            prop_assume!(plan.episodes.len() > 1 && plan.load.clients >= clients);
            let wanted = wanted.get(&plan.episodes).clone();
            let kept = shrink::<Infallible>(plan, &mut |plan| {
                let appends = plan.load.mix.iter().any(|(deed, _)| *deed == Deed::Append);
                Ok(plan.episodes.contains(&wanted) && appends && plan.load.clients >= clients && plan.seconds >= 42)
            });
            let kept = kept.unwrap();
            prop_assert_eq!(&kept.episodes, &[wanted]);
            prop_assert_eq!(kept.load.mix.len(), 1);
            prop_assert_eq!(kept.load.clients, clients);
            prop_assert!((42..42 + SECONDS_STEP).contains(&kept.seconds));
        }
    }

    #[test]
    fn what_can_go_only_once_something_else_is_gone_goes() {
        // Two episodes are needed by two clients, and none by one.
        let mut plan = Plan::swarm(3, 600);
        plan.load.clients = 2;
        let kept =
            shrink::<Infallible>(plan, &mut |plan| Ok(plan.load.clients == 1 || plan.episodes.len() >= 2));
        assert_eq!(kept.unwrap().episodes, []);
    }

    #[test]
    fn no_plan_is_tried_twice() {
        let mut tried: Vec<Plan> = Vec::new();
        let kept = shrink::<Infallible>(Plan::swarm(3, 600), &mut |plan| {
            assert!(!tried.contains(plan), "tried again: {plan:?}");
            tried.push(plan.clone());
            Ok(plan.episodes.len() >= 3)
        });
        assert_eq!(kept.unwrap().episodes.len(), 3);
    }

    #[test]
    fn who_cannot_tell_ends_it() {
        assert_eq!(shrink(Plan::swarm(3, 600), &mut |_| Err("no room")), Err("no room"));
    }
}
