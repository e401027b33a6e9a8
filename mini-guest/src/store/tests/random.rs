//! Any requests in any order, against a map of paths: the tree is what they made, and the books are right.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Write(u8, u8),
    Make(u8),
    Remove(u8),
    Begin,
    End(bool),
}

fn path(choice: u8) -> String {
    let names = ["a", "b", "c"];
    let depth = 1 + choice as usize % 3;
    (0..depth)
        .map(|n| format!("/{}", names[(choice as usize / (3 + n)) % 3]))
        .collect()
}

fn steps() -> impl Strategy<Value = Vec<(bool, Step)>> {
    let step = prop_oneof![
        4 => (any::<u8>(), any::<u8>()).prop_map(|(path, value)| Step::Write(path, value)),
        1 => any::<u8>().prop_map(Step::Make),
        2 => any::<u8>().prop_map(Step::Remove),
        1 => Just(Step::Begin),
        1 => any::<bool>().prop_map(Step::End),
    ];
    proptest::collection::vec((any::<bool>(), step), 0..60)
}

type Model = BTreeMap<String, String>;

fn apply(model: &mut Model, step: &Step) {
    match step {
        Step::Write(at, _) | Step::Make(at) => {
            let path = path(*at);
            let ends = path.match_indices('/').skip(1).map(|(end, _)| end);
            for end in ends.chain([path.len()]) {
                model.entry(path[..end].into()).or_default();
            }
            if let Step::Write(_, value) = step {
                model.insert(path, value.to_string());
            }
        }
        Step::Remove(at) => {
            let path = path(*at);
            model.retain(|other, _| *other != path && !other.starts_with(&format!("{path}/")));
        }
        Step::Begin | Step::End(_) => {}
    }
}

proptest! {
    #[test]
    fn the_tree_is_what_was_asked_for(steps in steps()) {
        let mut world = World::new();
        let id = world.connect(0);
        let mut model = Model::new();
        let mut open: Option<(u32, Model)> = None;
        let mut is_disturbed = false;
        for (is_inside, step) in &steps {
            let tx = open.as_ref().filter(|_| *is_inside).map_or(0, |open| open.0);
            let answer = match step {
                Step::Write(at, value) => world.write_in(id, tx, &path(*at), &value.to_string()),
                Step::Make(at) => world.ask_in(id, tx, MessageKind::MKDIR, format!("{}\0", path(*at)).as_bytes()).map(drop),
                Step::Remove(at) => world.ask_in(id, tx, MessageKind::RM, format!("{}\0", path(*at)).as_bytes()).map(drop),
                Step::Begin if open.is_none() => {
                    let answer = world.ask_in(id, 0, MessageKind::TRANSACTION_START, b"\0").unwrap();
                    open = Some((text(&answer).trim_end_matches('\0').parse().unwrap(), model.clone()));
                    is_disturbed = false;
                    Ok(())
                }
                Step::End(commits) => {
                    if let Some((tx, inside)) = open.take() {
                        let how = if *commits { &b"T\0"[..] } else { b"F\0" };
                        match world.ask_in(id, tx, MessageKind::TRANSACTION_END, how) {
                            // Nobody else did anything: what it saw is what there is now.
                            Ok(_) if *commits && !is_disturbed => model = inside,
                            Ok(_) if *commits => {
                                // Others did something elsewhere: the paths of both are there.
                                model = world.store.tree.all().into_iter().filter(|(path, _)| !path.is_empty())
                                    .map(|(path, node)| (path.to_string(), text(&node.value))).collect();
                            }
                            Ok(_) => {}
                            Err(error) => prop_assert!(is_disturbed && error == Error::Again),
                        }
                    }
                    Ok(())
                }
                Step::Begin => Ok(()),
            };
            match (answer, tx, &mut open) {
                (Ok(()), 0, _) => {
                    apply(&mut model, step);
                    is_disturbed |= !matches!(step, Step::Begin | Step::End(_));
                }
                (Ok(()), _, Some((_, inside))) => apply(inside, step),
                (Err(error), ..) => prop_assert!(error == Error::NoEntry && matches!(step, Step::Remove(_))),
                _ => {}
            }
            let found: Model = world.store.tree.all().into_iter().filter(|(path, _)| !path.is_empty())
                .map(|(path, node)| (path.to_string(), text(&node.value))).collect();
            prop_assert_eq!(&found, &model);
        }
    }
}
