"use strict";

// Before anything is drawn: the colours that the reader chose here, where it did.
{
  const chosen = localStorage.getItem("dreamfarm-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
}
