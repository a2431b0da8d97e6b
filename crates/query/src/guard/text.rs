//! How long a question may be.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::error::Error;

/// Words, numbers and signs of one question. A list of so many ids has twice as many.
pub(crate) const TOKENS_MAX: usize = 8192;

/// What chains and nests: planning takes the square of it.
pub(crate) const OPERATORS_MAX: usize = 1024;

/// Refuses a text whose plan would be deeper than the stack that plans it.
///
/// # Errors
/// [`Error::Invalid`]. A text that is no sequence of tokens passes: the parser says where it is wrong.
pub(crate) fn check(sql: &str) -> Result<(), Error> {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize() else { return Ok(()) };
    let operators = tokens.iter().filter(|token| is_operator(token)).count();
    let tokens = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).count();
    if operators > OPERATORS_MAX {
        return Err(Error::invalid(format!(
            "the query has {operators} operators, and may have {OPERATORS_MAX}; replace chains of OR by IN, or ask in \
             several queries"
        )));
    }
    if tokens > TOKENS_MAX {
        return Err(Error::invalid(format!(
            "the query has {tokens} words and signs, and may have {TOKENS_MAX}; ask in several queries, or replace long \
             lists by a condition such as BETWEEN or a prefix"
        )));
    }
    Ok(())
}

/// Whether a token puts parts of expressions or queries together, other than in a list.
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN
                | Keyword::WHEN
                | Keyword::JOIN
                | Keyword::UNION
                | Keyword::INTERSECT
                | Keyword::EXCEPT
        ),
        Token::Whitespace(_)
        | Token::Comma
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::LBracket
        | Token::RBracket
        | Token::SemiColon
        | Token::Number(_, _)
        | Token::SingleQuotedString(_)
        | Token::EOF => false,
        _ => true,
    }
}
