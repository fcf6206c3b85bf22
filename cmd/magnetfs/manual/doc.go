// Package manual writes the manual pages from the commands and settings
// themselves, in man(7), so that they cannot say anything else than --help does.
//
// cobra has a generator of its own. It goes by way of Markdown, for which it puts
// two more modules into the program, and its pages do not pass mandoc -T lint.
package manual
