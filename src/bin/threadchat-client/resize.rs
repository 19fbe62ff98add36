//! The rows of the draft after the window's width has changed.

use unicode_width::UnicodeWidthChar;

/// Returns the output that removes the draft from the screen before the line editor redraws it for the new width.
///
/// The editor clears as many rows upwards as the draft had at the old width. Most terminals have meanwhile wrapped the draft
/// anew, and in a wider window the rows above it are messages. This output clears the draft from its first row, and moves
/// the cursor down so that the editor clears only empty rows. Terminals that do not wrap anew keep the old rows; on these,
/// and in a narrower window, the beginning of the draft can stay on the screen, but no message is lost.
pub fn erase_draft(text: &str, cursor: usize, old_columns: usize, columns: usize) -> String {
    let before_cursor = &text[..cursor];
    let (old_cursor_row, old_column) = position(before_cursor, old_columns);
    let (old_rows, _) = position(text, old_columns);
    let (row, column) = position(before_cursor, columns);
    let is_full = |column| column == 0 && cursor == text.len() && !text.ends_with('\n');
    // After a full row the editor writes a line break, which the terminal keeps, and otherwise there is none.
    let cursor_row = row.saturating_sub(is_full(column).into()) + usize::from(is_full(old_column));
    let first_row = old_cursor_row.min(cursor_row);
    // Up to the first row, erase to the end of the screen.
    up(first_row) + "\r\x1b[J" + &"\n".repeat(old_rows) + &up(old_rows - old_cursor_row)
}

fn up(rows: usize) -> String {
    match rows {
        0 => String::new(),
        rows => format!("\x1b[{rows}A"),
    }
}

/// Returns true for a text of several rows.
pub fn is_long(text: &str, columns: usize) -> bool {
    position(text, columns).0 > 0
}

/// Returns the row and column of the cursor after the text. A full row moves it to the next one.
fn position(text: &str, columns: usize) -> (usize, usize) {
    let (mut row, mut column) = (0, 0);
    for c in text.chars() {
        let width = match c {
            '\n' => {
                (row, column) = (row + 1, 0);
                continue;
            }
            // The line editor's tab stops.
            '\t' => 8 - column % 8,
            _ => c.width().unwrap_or(0),
        };
        column += width;
        if column > columns {
            (row, column) = (row + 1, width);
        }
    }
    if column == columns {
        (row, column) = (row + 1, 0);
    }
    (row, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_count_wide_characters_and_line_breaks() {
        for (text, columns, row) in [
            ("", 10, 0),
            ("123456789", 10, 0),
            ("1234567890", 10, 1),
            ("12345678901", 10, 1),
            ("日本語日", 10, 0),
            ("日本語日本", 10, 1),
            ("1日本語日本", 10, 1),
            ("1\n2\n3", 10, 2),
            ("e\u{301}".repeat(9).as_str(), 10, 0),
            ("1234\t\t", 10, 1),
        ] {
            assert_eq!(position(text, columns).0, row, "{text:?}");
        }
    }

    #[test]
    fn draft_is_erased_from_its_first_row_at_either_width() {
        let text = "x".repeat(35);
        assert_eq!(erase_draft(&text, 35, 10, 20), "\x1b[1A\r\x1b[J\n\n\n");
        assert_eq!(erase_draft(&text, 35, 20, 10), "\x1b[1A\r\x1b[J\n");
        assert_eq!(erase_draft(&text, 12, 10, 20), "\r\x1b[J\n\n\n\x1b[2A");
        // The cursor is below three full rows, and then below two.
        assert_eq!(
            erase_draft(&text[..30], 30, 10, 20),
            "\x1b[2A\r\x1b[J\n\n\n"
        );
        // The row of the cursor becomes full.
        assert_eq!(erase_draft(&text[..20], 20, 15, 20), "\r\x1b[J\n");
    }
}
