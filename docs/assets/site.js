// What the theme leaves out: a name for its search, and code that the keyboard can scroll.
document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
document.querySelectorAll("pre > code, .md-typeset__scrollwrap").forEach(box => { box.tabIndex = 0; });
