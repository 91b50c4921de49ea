/* forget.h - undefine the row macros between passes over all.msg. No guard on purpose. */
#undef MESSAGE
#undef TEXT
#undef VIEW
#undef JSON
#undef BLOB
#undef INT
#undef REAL
#undef FLAG
#undef END
