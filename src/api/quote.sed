# Lines of a text as strings of C.
s/\\/&&/g
s/"/\\"/g
s/.*/"&\\n"/
