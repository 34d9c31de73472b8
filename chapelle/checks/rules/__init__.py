"""The rules that NetBox's content is judged by, one function each, by subject."""
