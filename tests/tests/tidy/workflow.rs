//! Owns the rule that what GitHub runs is what `make` does on a developer's machine.

/// What a workflow may run besides make: a tool that a target asks for and set-up does not bring.
const INSTALL: &str = "cargo install --locked ";
/// Whose actions a workflow may use: those that fetch and keep files, which no target does.
const ACTIONS: &str = "actions/";

/// Steps of a workflow that are no target of the Makefile.
pub(crate) fn strangers(name: &str, workflow: &str, makefile: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (at, line) in workflow.lines().enumerate() {
        let step = line.trim_start().trim_start_matches("- ");
        let known = match (step.strip_prefix("run: "), step.strip_prefix("uses: ")) {
            (Some(command), _) => command.starts_with(INSTALL) || is_target(command, makefile),
            (None, Some(action)) => action.starts_with(ACTIONS),
            (None, None) => true,
        };
        if !known {
            complaints.push(format!("{name}:{}: `{step}` is no target of the Makefile", at + 1));
        }
    }
    complaints
}

fn is_target(command: &str, makefile: &str) -> bool {
    let Some(target) = command.strip_prefix("make ") else { return false };
    makefile.lines().any(|line| line.strip_prefix(target).is_some_and(|rest| rest.starts_with(':')))
}

#[test]
fn a_step_of_its_own_is_found() {
    let workflow = "steps:\n  - uses: actions/checkout@v4\n  - uses: they/deny@v2\n  - run: cargo deny check\n  \
                    - run: make lint\n  - run: make lin\n  - name: x\n    run: |\n";
    let lines: Vec<String> = strangers("ci", workflow, "lint: setup\n\tcargo\n");
    let of = |line: &str| lines.iter().any(|found| found.starts_with(line));
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(of("ci:3: ") && of("ci:4: ") && of("ci:6: ") && of("ci:8: "), "{lines:?}");
}
