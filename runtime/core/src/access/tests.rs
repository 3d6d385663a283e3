use super::*;
use crate::metrics::MetricsOptions;
use proa_resources::configuration::{AccessOperation, AccessPolicy};

fn operation(name: &str, verbs: &[&str], action: &str) -> AccessOperation {
    AccessOperation { name: name.into(), http_verb: verbs.iter().map(|v| (*v).to_owned()).collect(), action: action.into() }
}

fn policy(app_id: &str, default_action: &str, operations: Vec<AccessOperation>) -> AccessPolicy {
    AccessPolicy { app_id: app_id.into(), default_action: default_action.into(), trust_domain: "public".into(), namespace: "ns".into(), operations }
}

fn list(default_action: &str, policies: Vec<AccessPolicy>, is_http: bool) -> AccessList {
    let control = AccessControl { default_action: default_action.into(), trust_domain: "public".into(), policies };
    AccessList::new(Some(&control), is_http).unwrap().unwrap()
}

fn caller(app_id: &str) -> Caller {
    Caller::parse("public", &format!("/ns/ns/{app_id}")).unwrap()
}

fn allowed(list: &AccessList, caller: Option<&Caller>, operation: &str, verb: &str) -> bool {
    list.decide(caller, Called { operation, verb }).0
}

#[test]
fn callers_are_told_apart_by_their_certificates() {
    assert_eq!(Caller::parse("public", "/ns/a").unwrap_err(), "malformed SPIFFE ID: spiffe://public/ns/a");
    assert!(Caller::parse("public", "/ns//app").is_err() && Caller::parse("public", "/x/a/b").is_err());
    let list = list("deny", vec![policy("app", "allow", vec![])], true);
    assert!(allowed(&list, Some(&caller("app")), "x", "GET"));
    assert!(!allowed(&list, Some(&caller("other")), "x", "GET") && !allowed(&list, None, "x", "GET"));
    let foreign = Caller::parse("elsewhere", "/ns/ns/app").unwrap();
    let far = Caller::parse("public", "/ns/far/app").unwrap();
    assert!(!allowed(&list, Some(&foreign), "x", "GET") && !allowed(&list, Some(&far), "x", "GET"));
}

#[test]
fn operations_and_verbs_of_http() {
    let operations = vec![operation("/Op1", &["GET"], "allow"), operation("op2/*", &["*"], "allow")];
    let list = list("allow", vec![policy("app", "deny", operations)], true);
    let app = caller("app");
    assert!(allowed(&list, Some(&app), "op1", "GET") && allowed(&list, Some(&app), "/OP1", "GET"));
    assert!(!allowed(&list, Some(&app), "op1", "POST") && !allowed(&list, Some(&app), "op1", ""));
    assert!(allowed(&list, Some(&app), "op2/x", "PUT") && !allowed(&list, Some(&app), "op3", "GET"));
}

#[test]
fn grpc_has_no_verbs_and_minds_capitals() {
    let list = list("deny", vec![policy("app", "", vec![operation("/pkg.Service/Get*", &[], "allow")])], false);
    let app = caller("app");
    assert!(allowed(&list, Some(&app), "/pkg.Service/GetThing", ""));
    assert!(!allowed(&list, Some(&app), "/pkg.service/GetThing", "") && !allowed(&list, Some(&app), "/pkg.Service/Put", ""));
    let metrics = Metrics::new(MetricsOptions::default()).unwrap();
    let denied = list.check(&metrics, Some(&app), Called { operation: "/pkg.Service/Put", verb: "GET" }).unwrap_err();
    assert_eq!(denied, "access control policy has denied access to id: spiffe://public/ns/ns/app operation: /pkg.Service/Put verb: NONE");
}

#[test]
fn a_policy_says_whom_it_is_about() {
    let mut bare = policy("app", "", vec![]);
    bare.trust_domain.clear();
    let control = AccessControl { default_action: String::new(), trust_domain: String::new(), policies: vec![bare, policy("b", "", vec![])] };
    let text = AccessList::new(Some(&control), true).err().unwrap();
    assert!(text.starts_with("invalid access control spec. missing trustdomain for apps: [app], missing namespace for apps: []"), "{text}");
    let nothing = AccessControl { default_action: String::new(), trust_domain: String::new(), policies: vec![] };
    assert!(AccessList::new(Some(&nothing), true).unwrap().is_none() && AccessList::new(None, true).unwrap().is_none());
    assert!(!allowed(&list("", vec![policy("a", "allow", vec![])], true), None, "x", "GET"), "policies without a general action deny");
}
