use super::*;
use std::fs;
use std::path::Path;

fn component(name: &str, type_: &str, more: &str) -> String {
    format!("apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: {name}}}\nspec: {{type: {type_}, version: v1}}\n{more}\n")
}

fn load_from(folder: &Path) -> Snapshot {
    load(&LoadOptions { paths: vec![folder.to_owned()], app_id: "app".into(), namespace: None })
}

#[test]
fn reads_all_kinds_of_many_documents_in_name_order() {
    let dir = tempfile::tempdir().unwrap();
    let other = "apiVersion: dapr.io/v1alpha1\nkind: HTTPEndpoint\nmetadata: {name: h}\nspec: {baseUrl: http://x}\n---\n\
        apiVersion: dapr.io/v2alpha1\nkind: Subscription\nmetadata: {name: s}\nspec: {topic: t, pubsubname: p}\n---\n# empty\n---\n\
        apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: r}\n---\napiVersion: dapr.io/v1alpha1\nkind: MCPServer\nmetadata: {name: m}\n---\n\
        apiVersion: dapr.io/v1alpha1\nkind: WorkflowAccessPolicy\nmetadata: {name: w}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n";
    fs::write(dir.path().join("b.yml"), other).unwrap();
    fs::write(dir.path().join("a.YAML"), format!("{}---\n{}", component("two", "b.c", ""), component("one", "a.b", ""))).unwrap();
    fs::write(dir.path().join("state.wasm"), b"\0asm").unwrap();
    fs::write(dir.path().join("notes.txt"), "x").unwrap();
    fs::create_dir(dir.path().join("sub.yaml")).unwrap();
    let snapshot = load_from(dir.path());
    let names: Vec<&str> = snapshot.components.iter().map(|component| component.name.as_str()).collect();
    assert_eq!(names, ["two", "one"]);
    assert_eq!(snapshot.components[1].origin, crate::Origin { file: dir.path().join("a.YAML"), document: 2 });
    assert_eq!((snapshot.http_endpoints.len(), snapshot.subscriptions.len(), snapshot.resiliencies.len()), (1, 1, 1));
    assert_eq!((snapshot.mcp_servers.len(), snapshot.workflow_access_policies.len()), (1, 1));
    assert_eq!(snapshot.modules.len(), 1);
    assert_eq!(snapshot.modules[0].size, 4);
    assert_eq!(snapshot.files.len(), 2);
    assert_eq!(snapshot.failures().count(), 0, "{:?}", snapshot.errors);
    assert_eq!(snapshot.errors.len(), 1);
    assert!(snapshot.errors[0].to_string().contains("A non-YAML Component file notes.txt"));
}

#[test]
fn broken_documents_are_entries_and_the_rest_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let bad_kind = "apiVersion: dapr.io/v1alpha1\nkind: Componnet\nmetadata: {name: x}\n";
    let bad_name = component("a/b", "x.y", "");
    let bad_shape = component("shape", "x.y", "scopes: {a: b}");
    fs::write(dir.path().join("a.yaml"), format!("foo: [\n---\n{}---\n{bad_kind}---\n{bad_name}---\n{bad_shape}", component("good", "a.b", "")))
        .unwrap();
    let snapshot = load_from(dir.path());
    assert_eq!(snapshot.components.len(), 1);
    let texts: Vec<String> = snapshot.errors.iter().map(ToString::to_string).collect();
    let file = dir.path().join("a.yaml").display().to_string();
    assert!(
        texts[0]
            .starts_with(&format!("daprd load Component error when parsing manifests yaml resource in {file}: document 1: error converting YAML")),
        "{texts:?}"
    );
    assert!(texts[1].contains("the nearest known kind is \"Component\""), "{texts:?}");
    assert!(texts[2].contains("invalid name \"a/b\" for \"Component\": may not contain '/'"), "{texts:?}");
    assert!(texts[3].contains("document 5 (shape), scopes: expected a list, found a mapping"), "{texts:?}");
    assert_eq!(snapshot.failures().count(), 3);
}

#[test]
fn bad_policies_are_reported_by_resource() {
    let dir = tempfile::tempdir().unwrap();
    let text = "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: myresiliency}\nspec: {policies: {timeouts: {t: never}}}\n";
    fs::write(dir.path().join("r.yaml"), text).unwrap();
    let snapshot = load_from(dir.path());
    assert!(snapshot.resiliencies.is_empty());
    assert!(snapshot.errors[0].to_string().starts_with("Could not read resiliency policy myresiliency: invalid duration \"t\", never"));
}

#[test]
fn duplicates_have_daprs_wording_and_order() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(first.path().join("1.yaml"), component("foo", "secretstores.local.file", "")).unwrap();
    fs::write(first.path().join("2.yaml"), component("bar", "state.a", "scopes: [other]")).unwrap();
    fs::write(first.path().join("3.yaml"), component("bar", "state.b", "")).unwrap();
    fs::write(
        second.path().join("1.yaml"),
        format!("{}---\n{}", component("foo", "state.in-memory", ""), component("bar", "state.c", "scopes: [other]")),
    )
    .unwrap();
    let options = LoadOptions { paths: vec![first.path().into(), second.path().into()], app_id: "app".into(), namespace: None };
    let snapshot = load(&options);
    assert_eq!(
        snapshot.duplicate_text(Kind::Component).as_deref(),
        Some(
            "duplicate definition of Component name foo (state.in-memory/v1) with existing foo (secretstores.local.file/v1)\n\
             duplicate definition of Component name bar (state.c/v1) with existing bar (state.b/v1)"
        )
    );
    assert_eq!(snapshot.component("bar").unwrap().type_, "state.b");
    assert_eq!(snapshot.duplicate_text(Kind::HttpEndpoint), None);
}

#[test]
fn namespaces_and_scopes_decide_who_sees_what() {
    let dir = tempfile::tempdir().unwrap();
    let in_namespace = |name: &str, namespace: &str| {
        component(name, "a.b", "").replace(&format!("{{name: {name}}}"), &format!("{{name: {name}, namespace: {namespace}}}"))
    };
    let text = [
        in_namespace("mine", "prod"),
        in_namespace("theirs", "dev"),
        component("anywhere", "a.b", ""),
        component("scoped", "a.b", "scopes: [x, app]"),
        component("hidden", "a.b", "scopes: [x]"),
    ];
    fs::write(dir.path().join("a.yaml"), text.join("---\n")).unwrap();
    let names = |namespace: Option<&str>| -> Vec<String> {
        let options = LoadOptions { paths: vec![dir.path().into()], app_id: "app".into(), namespace: namespace.map(Into::into) };
        load(&options).components.into_iter().map(|component| component.name).collect()
    };
    assert_eq!(names(Some("prod")), ["mine", "anywhere", "scoped"]);
    assert_eq!(names(None), ["mine", "theirs", "anywhere", "scoped"]);
}

#[test]
fn a_vanished_folder_and_a_broken_file_keep_what_was_good() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("res");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.yaml"), component("a", "a.b", "")).unwrap();
    fs::write(folder.join("b.yaml"), component("b", "a.b", "")).unwrap();
    let good = load_from(&folder);
    fs::write(folder.join("a.yaml"), "kind: [").unwrap();
    fs::remove_file(folder.join("b.yaml")).unwrap();
    let mut broken = load_from(&folder);
    broken.keep_last_good(&good);
    assert!(broken.component("a").is_some());
    assert!(broken.component("b").is_none(), "a removed file is a removal");
    fs::remove_dir_all(&folder).unwrap();
    let mut vanished = load_from(&folder);
    assert_eq!(vanished.unreadable, std::slice::from_ref(&folder));
    assert_eq!(vanished.errors[0].to_string(), format!("open {}: no such file or directory", folder.display()));
    vanished.keep_last_good(&good);
    assert_eq!((vanished.components.len(), vanished.files.len()), (2, 2));
}
