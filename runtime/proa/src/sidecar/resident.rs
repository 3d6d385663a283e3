//! Lets go of what only the start needed: the kernel maps sixteen pages around every page of code that is touched, and most of the
//! binary is the compiler and the start itself. Dropped pages are clean and come back from the page cache when they are used.

use std::time::Duration;

/// Long enough for the start to be over, short enough for nobody to look before.
const SETTLED: Duration = Duration::from_millis(300);

/// Drops the resident pages of the binary's own code and constants once the start is over.
pub async fn trim() {
    tokio::time::sleep(SETTLED).await;
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    let Ok(exe) = std::env::current_exe().and_then(|p| p.canonicalize()) else { return };
    let exe = exe.to_string_lossy();
    for line in maps.lines().filter(|l| l.ends_with(exe.as_ref())) {
        if let Some((start, length)) = never_written(line) {
            // SAFETY: the range is a private mapping of a file that this process has never written to: code, or the segment of the
            // ELF header, which holds constants. Its pages are the file's; dropping them loses nothing.
            unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) };
        }
    }
}

/// The range of a line of `maps`, if it is code or the first segment. Other read-only ranges hold relocated data, which is not the file's.
fn never_written(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (range, mode, offset) = (fields.next()?, fields.next()?, fields.next()?);
    let code = mode == "r-xp";
    let first = mode == "r--p" && usize::from_str_radix(offset, 16).ok()? == 0;
    if !code && !first {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    Some((start, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::never_written;

    #[test]
    fn only_code_and_the_first_segment() {
        assert_eq!(never_written("1000-3000 r-xp 00005000 fe:00 7 /bin/proa"), Some((0x1000, 0x2000)));
        assert_eq!(never_written("0-1000 r--p 00000000 fe:00 7 /bin/proa"), Some((0, 0x1000)));
        assert_eq!(never_written("3000-4000 r--p 00008000 fe:00 7 /bin/proa"), None);
        assert_eq!(never_written("3000-4000 rw-p 00009000 fe:00 7 /bin/proa"), None);
    }
}
