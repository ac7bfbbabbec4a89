"""Text from HTML and back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.mime.html import html_from_text, text_from_html


class WalkTests(SynchronousTestCase):
    def check(self, html: str, text: str) -> None:
        self.assertEqual(text_from_html(html), text)

    def test_blocks_are_lines_and_white_space_collapses(self) -> None:
        self.check("<div>a\n  b</div><div>c</div><p>d</p>e<br>f", "a b\nc\n\nd\n\ne\nf")

    def test_inline_elements_keep_their_spaces(self) -> None:
        self.check("<b>a</b><i>b</i> <u>c</u>\n<span> d</span>", "ab c d")

    def test_head_style_script_and_comments_go(self) -> None:
        self.check(
            "<html><head><title>t</title><style>p{}</style></head><body><script>x</script><!-- c -->y"
            "<style>z</style></body>",
            "y",
        )

    def test_entities(self) -> None:
        self.check("&lt;a&gt;&nbsp;&amp;&#8364;&#x80;&eacute;", "<a> &€€é")

    def test_lists_and_tables(self) -> None:
        self.check("<ul><li>a<li>b</ul><table><tr><td>1<td>2<tr><td>3<td>4</table>", "- a\n- b\n\n1\t2\n3\t4")

    def test_links_show_their_address_once(self) -> None:
        self.check('<a href="https://x.org/a">here</a>.', "here <https://x.org/a>.")
        self.check('<a href="https://x.org/">x.org</a>', "x.org")
        self.check('<a href="javascript:alert(1)">no</a>', "no")

    def test_images_are_their_alternative_text(self) -> None:
        self.check('a <img alt="logo" src=x> b <img src=y>', "a logo b")

    def test_preformatted_text_keeps_its_lines(self) -> None:
        self.check("<pre>a\n  b</pre>c", "a\nb\n\nc")

    def test_limit(self) -> None:
        self.assertEqual(len(text_from_html("<p>" + "x" * 1000, 100)), 100)

    def test_broken_html_is_survived(self) -> None:
        for html in (
            "<",
            "<a",
            "<a href='",
            "</",
            "<!--",
            "<![CDATA[x",
            "a<b>c</i></p>",
            "&#55296;&#0;&#99999999;",
        ):
            text_from_html(html).encode("utf-8")

    def test_tags_inside_values_and_raw_text_are_no_tags(self) -> None:
        self.check('<a title="a > b" x=\'<p>\'>c</a><script>if (a<b) "</p>"</script>d', "cd")
        self.check("1 < 2 <3 <- x", "1 < 2 <3 <- x")
        self.check("a<!-- <b> > --><!doctype x>b<!-->c<?xml x?>d", "abcd")

    def test_without_links(self) -> None:
        self.assertEqual(text_from_html('<a href="https://x.org/a">here</a>', links=False), "here")

    def test_nesting_and_attributes_cost_nothing(self) -> None:
        for html in (
            "<div>" * 100_000,
            "<b></div>" * 50_000,
            "<li><dd>" * 50_000,
            "<p>" + "".join(f"<b id={n}>" for n in range(200)) + "<p>" * 50_000,
            "<a " + " ".join(f"a{n}=1" for n in range(100_000)) + ">",
        ):
            self.assertEqual(text_from_html(html + "x").strip("-\n "), "x")

    def test_things_that_never_end_are_linear(self) -> None:
        for html in (
            "<style>", "<!--", "<a ", "<", "<script>x", "</", "<!", "<a b='", '<a b="', "<a b='\">", "<a/", "<?",
            "<a href=", "</a", "<a href=http://x>y",
        ):  # fmt: skip
            self.assertIsInstance(text_from_html(html * 50_000), str)

    def test_long_runs_of_spaces_are_linear(self) -> None:
        self.assertEqual(text_from_html("a" + "&nbsp;" * 100_000 + "b").split(), ["a", "b"])

    def test_a_large_flat_document(self) -> None:
        text = text_from_html("<p>word <b>bold</b></p>\n" * 20_000)
        self.assertEqual(text.count("word bold"), 20_000)

    @given(st.text(st.sampled_from("<>/abdivp&;#!-\"'= \n\x00"), max_size=80) | st.text(max_size=60))
    @settings(max_examples=100, deadline=None)
    def test_any_text_gives_clean_text(self, html: str) -> None:
        text = text_from_html(html)
        text.encode("utf-8")
        self.assertNotIn("\x00", text)


class FromTextTests(SynchronousTestCase):
    def body(self, text: str) -> str:
        return html_from_text(text).partition("<div>")[2].partition("</div>")[0]

    def test_markup_is_escaped(self) -> None:
        self.assertEqual(self.body('<b> & "x"'), "&lt;b&gt; &amp; &quot;x&quot;")

    def test_lines_and_spaces_stay(self) -> None:
        self.assertEqual(self.body("a\r\n  b   c"), "a<br>\r\n&nbsp; b&nbsp;&nbsp; c")

    def test_addresses_become_links_without_trailing_punctuation(self) -> None:
        self.assertEqual(
            self.body("see (https://x.org/a?b=1&c=2)."),
            'see (<a href="https://x.org/a?b=1&amp;c=2">https://x.org/a?b=1&amp;c=2</a>).',
        )

    def test_no_address_can_leave_its_attribute(self) -> None:
        self.assertNotIn("<script", self.body('https://x.org/"><script>alert(1)</script>'))
        self.assertNotIn('" onclick', self.body('https://x.org/" onclick=x'))

    def test_text_comes_back(self) -> None:
        self.assertEqual(
            text_from_html(html_from_text("Hello <you>\n\nhttps://x.org/ & more")),
            "Hello <you>\n\nhttps://x.org/ & more",
        )
