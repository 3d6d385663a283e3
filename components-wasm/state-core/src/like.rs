//! Patterns of SQL's LIKE: `%` any run, `_` one character, `\` takes the next one as it is (a last one stands for itself).

#[derive(PartialEq)]
enum Part {
    Any,
    One,
    Char(char),
}

pub struct Like(Vec<Part>);

impl Like {
    /// Whether the last character of a pattern is an escape that has nothing to escape.
    pub fn is_unfinished(pattern: &str) -> bool {
        pattern.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1
    }

    pub fn parse(pattern: &str) -> Self {
        let mut parts = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            parts.push(match c {
                '%' => Part::Any,
                '_' => Part::One,
                '\\' => Part::Char(chars.next().unwrap_or('\\')),
                c => Part::Char(c),
            });
        }
        Self(parts)
    }

    /// What every match begins with.
    pub fn literal_prefix(&self) -> String {
        let literal = |part: &Part| if let Part::Char(c) = part { Some(*c) } else { None };
        self.0.iter().map_while(literal).collect()
    }

    /// Greedy, with one point to fall back to: linear in practice, no recursion.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut p, mut t, mut back) = (0, 0, None);
        while let Some(have) = text.get(t) {
            match self.0.get(p) {
                Some(Part::Any) => {
                    back = Some((p, t));
                    p += 1;
                    continue;
                }
                Some(part) if matches!(part, Part::One) || *part == Part::Char(*have) => {
                    p += 1;
                    t += 1;
                    continue;
                }
                _ => {}
            }
            let Some((any, from)) = back else { return false };
            back = Some((any, from + 1));
            p = any + 1;
            t = from + 1;
        }
        self.0.get(p..).is_some_and(|rest| rest.iter().all(|part| *part == Part::Any))
    }
}

#[cfg(test)]
mod tests {
    use super::Like;

    #[test]
    fn matches() {
        let like = |p: &str, t: &str| Like::parse(p).matches(t);
        assert!(like("a%c", "abbc") && like("%", "") && like("a_c", "a\u{e9}c") && like("a\\%", "a%") && like("a\\", "a\\"));
        assert!(!like("a%c", "abbd") && !like("_", "") && !like("a\\%", "ab") && !like("a", "ab"));
        assert!(like("%ab%ab", "abxababab"));
        assert!(Like::is_unfinished("a\\") && !Like::is_unfinished("a\\\\") && !Like::is_unfinished(""));
        assert_eq!(Like::parse("x||a\\_b_c%").literal_prefix(), "x||a_b");
    }
}
