//! "Did you mean": the known name closest to a misspelt one, by edit distance, ignoring case.
//!
//! Gives nothing when even the closest candidate is too far away to be a plausible slip of the keyboard.

/// The candidate with the smallest edit distance to `name`, if that distance is at most a third of the longer
/// name (two edits are always forgiven for names of four letters or more). Ties go to the earlier candidate.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let wanted = name.to_lowercase();
    let mut best: Option<(usize, &'c str)> = None;
    for candidate in candidates {
        let steps = strsim::levenshtein(&wanted, &candidate.to_lowercase());
        let longer = wanted.chars().count().max(candidate.chars().count());
        let allowed = if longer < 4 { 1 } else { (longer / 3).max(2) };
        if steps <= allowed && best.is_none_or(|(least, _)| steps < least) {
            best = Some((steps, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_closest_plausible_name() {
        assert_eq!(nearest("scope", ["scopes", "spec"]), Some("scopes"));
        assert_eq!(nearest("Componnet", ["Component", "Configuration"]), Some("Component"));
        assert_eq!(nearest("RESOURCE-PATH", ["resources-path", "config"]), Some("resources-path"));
        assert_eq!(nearest("kubernetes", ["spec", "auth"]), None);
    }
}
